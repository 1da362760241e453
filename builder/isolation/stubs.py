"""Takes away again what was made in the root filesystem to mount something on, once the command is over."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress

from builder.isolation.sandbox.protocol import CopiedUp, Stub

_ENTER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def remove(root: str, stubs: Iterable[Stub]) -> None:
    """Remove the stubs that are still empty, restore the times of their directories, and undo overlayfs' copies.

    Args:
        root: the directory of the root filesystem, or the upper one of an overlay. No symlink below it is followed:
            the command may have put one anywhere.
        stubs: in the order in which they were made.
    """
    for stub in reversed(tuple(stubs)):
        with suppress(OSError):  # moved away, filled, or replaced by the command
            _remove(root, stub)
            for directory in stub.copied_up:
                _remove_copy(root, directory)


def _remove(root: str, stub: Stub) -> None:
    with _parent(root, stub.path) as (parent, name):
        now = os.fstat(parent)
        if stub.directory:
            os.rmdir(name, dir_fd=parent)
        elif _is_empty_file(name, parent):
            os.unlink(name, dir_fd=parent)
        else:
            return
        if stub.whiteout:
            os.mknod(name, stat.S_IFCHR, 0, dir_fd=parent)
        untouched = now.st_mtime_ns == stub.made_at
        os.utime(parent, ns=stub.parent_times if untouched else (now.st_atime_ns, now.st_mtime_ns))


def _remove_copy(root: str, copy: CopiedUp) -> None:
    """Remove a directory of the upper one that is as it was below, and holds nothing."""
    with _parent(root, copy.path) as (parent, name):
        before = os.fstat(parent)
        status = os.stat(name, dir_fd=parent, follow_symlinks=False)
        if (status.st_mode, status.st_uid, status.st_gid, status.st_mtime_ns) != copy.status:
            return
        directory = os.open(name, _ENTER, dir_fd=parent)
        try:
            if any(".overlay." not in attribute for attribute in os.listxattr(directory)):
                return  # the command may have set it
        finally:
            os.close(directory)
        os.rmdir(name, dir_fd=parent)
        os.utime(parent, ns=(before.st_atime_ns, before.st_mtime_ns))


def _is_empty_file(name: str, parent: int) -> bool:
    status = os.stat(name, dir_fd=parent, follow_symlinks=False)
    return stat.S_ISREG(status.st_mode) and not status.st_size


@contextmanager
def _parent(root: str, path: str) -> Iterator[tuple[int, str]]:
    """A descriptor of the directory that `path` is in, and its name there."""
    *directories, name = path.split("/")
    here = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for directory in directories:
            below = os.open(directory, _ENTER, dir_fd=here)
            os.close(here)
            here = below
        yield here, name
    finally:
        os.close(here)
