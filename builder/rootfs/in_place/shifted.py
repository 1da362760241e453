"""Directories of the container with mounts in them, out of the way while an image has something else in their places.

A mount point cannot be renamed, but the directory that it is in can be: the mount goes with it. So an image whose
``/var/run`` is a symlink has it although a pod's token is mounted below that path.
"""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import quote, unquote

from builder.layer.paths import split
from builder.rootfs.in_place.protected import ProtectedPaths

_NEEDED = "etc"
"""The directory of files that a container runtime mounts for the resolver."""


class ShiftedDirectories:
    """Those of `root` that are now in `directory`, each under its quoted path: so the next start finds them."""

    def __init__(self, directory: Path, root: str) -> None:
        self._directory, self._root = directory, root

    def shift(self, path: str, protected: ProtectedPaths) -> bool:
        """Move the directory `path` away, on which `protected` has mounts; False if that cannot be.

        It cannot be if the builder needs something there, or if `directory` is on another filesystem.
        """
        if path == _NEEDED or protected.is_named_below(path):
            return False
        try:
            self._directory.mkdir(mode=0o700, exist_ok=True)
            os.rename(f"{self._root}/{path}", self._directory / quote(path, safe=""))
        except OSError:
            self._end()
            return False
        return True

    def put_back(self) -> None:
        """Move all of them to where they were; nothing else may be there any more. Raises OSError."""
        if not self._directory.is_dir():
            return
        for name in sorted(os.listdir(self._directory)):
            path = unquote(name)
            os.makedirs(f"{self._root}/{split(path)[0]}", exist_ok=True)
            os.rename(self._directory / name, f"{self._root}/{path}")
        self._end()

    def _end(self) -> None:
        try:
            self._directory.rmdir()
        except OSError:
            return
