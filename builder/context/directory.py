"""A context that is a directory on this machine."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from builder.errors import ContextError


def default_context(environment: Mapping[str, str]) -> str:
    """``/workspace/`` inside the builder's own image, else the working directory."""
    in_image = bool(environment.get("KANIKO_DIR")) or os.path.isdir("/kaniko")
    return "/workspace/" if in_image and os.path.isdir("/workspace") else "."


def directory(location: str) -> Path:
    """The absolute path of the directory `location`. Raises ContextError if it is none or cannot be read."""
    path = Path(os.path.abspath(location))
    try:
        with os.scandir(path):
            return path
    except FileNotFoundError:
        raise ContextError(f"the context directory {path} does not exist", hint="name it with --context") from None
    except NotADirectoryError:
        raise ContextError(f"the context {path} is not a directory", hint=_archive_hint(location)) from None
    except OSError as error:
        raise ContextError(f"cannot read the context directory {path}: {error.strerror}") from None


def _archive_hint(location: str) -> str | None:
    archives = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".tar.zst")
    return f"an archive is written tar://{location}" if location.endswith(archives) else None
