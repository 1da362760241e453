"""Locks between processes (flock(2)), as context managers.

The kernel gives a lock back when its process ends, however it ends: none is ever left behind.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from builder.storage.failure import explained


@contextlib.contextmanager
def shared(path: Path) -> Iterator[None]:
    """Hold `path` together with other sharers; waits for an exclusive holder. Raises StorageError."""
    with _held(path, fcntl.LOCK_SH):
        yield


@contextlib.contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Hold `path` alone; waits for all others. Raises StorageError."""
    with _held(path, fcntl.LOCK_EX):
        yield


@contextlib.contextmanager
def try_exclusive(path: Path) -> Iterator[bool]:
    """Hold `path` alone if nobody else has it; gives False at once if somebody has. Raises StorageError."""
    try:
        descriptor = _lock(path, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except _Busy:
        yield False
        return
    try:
        yield True
    finally:
        os.close(descriptor)


class _Busy(Exception):
    """Somebody else has the lock."""


@contextlib.contextmanager
def _held(path: Path, operation: int) -> Iterator[None]:
    descriptor = _lock(path, operation)
    try:
        yield
    finally:
        os.close(descriptor)


def _lock(path: Path, operation: int) -> int:
    """The descriptor that holds the lock. Tried again if the file was removed (by a prune) while we waited."""
    while True:
        with explained("lock", path):
            descriptor = _open(path)
            try:
                fcntl.flock(descriptor, operation)
                if _is_current(path, descriptor):
                    return descriptor
            except BlockingIOError:
                os.close(descriptor)
                raise _Busy from None
            except BaseException:
                os.close(descriptor)
                raise
            os.close(descriptor)


def _open(path: Path) -> int:
    """A directory is locked as it is; anything else is a lock file, made if it is not there."""
    if path.is_dir():
        return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    path.parent.mkdir(parents=True, exist_ok=True)
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)


def _is_current(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(os.stat(path), os.fstat(descriptor))
    except FileNotFoundError:
        return False
