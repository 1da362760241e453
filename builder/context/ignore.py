"""Which .dockerignore applies."""

from __future__ import annotations

import os
from pathlib import Path

from builder.errors import ContextError

MAX_SIZE = 16 << 20
"""Bytes."""


def read_ignore(context: Path, dockerfile: Path | None) -> str | None:
    """The text of ``<Dockerfile name>.dockerignore`` beside the Dockerfile, else of the context's ``.dockerignore``.

    None if there is neither. A byte order mark is dropped, bytes that are not UTF-8 are kept as surrogates, as in file
    names. Raises ContextError.
    """
    candidates = [dockerfile.with_name(dockerfile.name + ".dockerignore")] if dockerfile else []
    for path in (*candidates, context / ".dockerignore"):
        try:
            with path.open("rb") as file:
                data = file.read(MAX_SIZE + 1)
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            raise ContextError(f"cannot read {path}: {error.strerror}") from None
        if len(data) > MAX_SIZE:
            raise ContextError(f"{path} is longer than {MAX_SIZE >> 20} MiB")
        return os.fsdecode(data.removeprefix(b"\xef\xbb\xbf"))
    return None
