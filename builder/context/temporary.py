"""A private directory for a fetched context."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from builder.errors import StorageError


@dataclass(frozen=True, slots=True)
class TemporaryDirectory:
    """A directory of mode 0700 below ``tmp/`` of the state directory."""

    path: Path

    @classmethod
    def create(cls, state_dir: Path) -> TemporaryDirectory:
        """Raises StorageError."""
        parent = state_dir / "tmp"
        try:
            parent.mkdir(parents=True, exist_ok=True)
            return cls(Path(tempfile.mkdtemp(prefix="context-", dir=parent)))
        except OSError as error:
            raise StorageError(
                f"cannot write to the state directory {state_dir}: {error.strerror}",
                hint="name another one with --state-dir",
            ) from None

    def remove(self) -> None:
        """Remove it and all below it, directories without write permission, too."""
        shutil.rmtree(self.path, onerror=_retry)


def _retry(function: Callable[..., Any], path: str, _: Any) -> None:
    try:
        os.chmod(os.path.dirname(path), 0o700)
        if os.path.isdir(path) and not os.path.islink(path):
            os.chmod(path, 0o700)
            shutil.rmtree(path, ignore_errors=True)
        else:
            os.unlink(path)
    except OSError:
        return
