"""/dev, which is the container's: what a command leaves in it is taken away, as it would be with a /dev of its own."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress

_MOVING = ("pts", "fd")
"""Names whose content the kernel makes."""


@contextmanager
def cleaned(directory: str) -> Iterator[None]:
    """Remove at the end what is new in `directory` and in the directories of it."""
    before = _names(directory)
    try:
        yield
    finally:
        for path in sorted(_names(directory) - before):
            with suppress(OSError):
                if stat.S_ISDIR(os.lstat(path).st_mode):
                    shutil.rmtree(path)
                else:
                    os.unlink(path)


def _names(directory: str) -> set[str]:
    found: set[str] = set()
    try:
        with os.scandir(directory) as entries:
            for entry in entries:
                found.add(entry.path)
                if entry.name not in _MOVING and entry.is_dir(follow_symlinks=False):
                    found |= _names(entry.path)
    except OSError:
        return found
    return found
