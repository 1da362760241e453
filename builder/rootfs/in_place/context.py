"""The build context, which commands in place can change, as it was."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from builder.rootfs.in_place.moving import copy_metadata, copy_tree, remove_content
from builder.rootfs.in_place.protected import ProtectedPaths
from builder.rootfs.watched import Watched
from builder.storage.failure import explained


class PreservedContext:
    """A copy of the directory `context`, in `home`, from which the context is restored when something has changed.

    Args:
        left: paths of the root that are not part of it although they are below it.
    """

    def __init__(self, context: Path, home: Path, left: ProtectedPaths) -> None:
        self._context, self._copy = context, home / "context"
        inside = str(context).strip("/") + "/"
        self._left = ProtectedPaths(path.removeprefix(inside) for path in left.paths if path.startswith(inside))
        self._watched = Watched(str(context), owners=True, left_out=self._left.paths)

    def save(self) -> None:
        """Raises StorageError."""
        with explained("copy", self._context):
            shutil.rmtree(self._copy, ignore_errors=True)
            copy_tree(str(self._context), str(self._copy))
            self._watched.remember()

    def restore(self) -> None:
        """Raises StorageError."""
        with explained("restore", self._context):
            before = self._watched.signatures
            self._watched.remember()
            if self._watched.signatures == before:
                return
            remove_content(str(self._context), self._left)
            for name in os.listdir(self._copy):
                if name not in self._left.paths and name not in self._left.above:
                    copy_tree(f"{self._copy}/{name}", f"{self._context}/{name}")
            copy_metadata(str(self._copy), str(self._context), os.lstat(self._copy))
            self._watched.remember()

    def close(self) -> None:
        """Restore the context and remove the copy. Raises StorageError."""
        if self._copy.exists():
            self.restore()
            shutil.rmtree(self._copy, ignore_errors=True)
