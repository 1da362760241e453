"""Takes away again what was made in the root filesystem to mount something on, once the mounts are gone."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from contextlib import suppress

from builder.isolation.sandbox.protocol import Stub

_ENTER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def remove(root: str, stubs: Iterable[Stub]) -> None:
    """Remove the stubs that are still empty and restore the times of their directories.

    Args:
        root: the directory of the root filesystem, or the upper one of an overlay. No symlink below it is followed:
            the command may have put one anywhere.
        stubs: in the order in which they were made.
    """
    for stub in reversed(tuple(stubs)):
        with suppress(OSError):  # moved away, filled, or replaced by the command
            _remove(root, stub)


def _remove(root: str, stub: Stub) -> None:
    parent_path, _, name = stub.path.rpartition("/")
    parent = _open(root, parent_path)
    try:
        now = os.fstat(parent)
        if not _remove_empty(name, parent, directory=stub.directory):
            return
        if stub.whiteout:
            os.mknod(name, stat.S_IFCHR, 0, dir_fd=parent)
        untouched = now.st_mtime_ns == stub.made_at
        os.utime(parent, ns=stub.parent_times if untouched else (now.st_atime_ns, now.st_mtime_ns))
    finally:
        os.close(parent)


def _remove_empty(name: str, parent: int, *, directory: bool) -> bool:
    if directory:
        os.rmdir(name, dir_fd=parent)
        return True
    status = os.stat(name, dir_fd=parent, follow_symlinks=False)
    if not stat.S_ISREG(status.st_mode) or status.st_size:
        return False
    os.unlink(name, dir_fd=parent)
    return True


def _open(root: str, path: str) -> int:
    here = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    for name in filter(None, path.split("/")):
        try:
            below = os.open(name, _ENTER, dir_fd=here)
        finally:
            os.close(here)
        here = below
    return here
