"""What the operating system says when something cannot be stored, in words that help."""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Iterator
from pathlib import Path

from builder.errors import StorageError

_HINTS = {
    errno.ENOSPC: "the disk is full: free space, run `builder prune`, or choose another place with --state-dir",
    errno.EDQUOT: "the disk quota is used up: free space, run `builder prune`, or choose another --state-dir",
    errno.EACCES: "check the owner and the permissions, or choose another place with --state-dir",
    errno.EPERM: "check the owner and the permissions, or choose another place with --state-dir",
    errno.EROFS: "the filesystem is read-only; choose another place with --state-dir",
    errno.EFBIG: "the file is larger than the filesystem or the limit (ulimit -f) allows",
}


def storage_error(doing: str, path: Path, error: OSError) -> StorageError:
    """The StorageError for `error`; `doing` completes "cannot ...", e.g. ``write``."""
    reason = error.strerror or str(error)
    return StorageError(f"cannot {doing} {path}: {reason}", hint=_HINTS.get(error.errno or 0))


@contextlib.contextmanager
def explained(doing: str, path: Path) -> Iterator[None]:
    """Turn every OSError of the block into a StorageError about `path`."""
    try:
        yield
    except OSError as error:
        raise storage_error(doing, path, error) from error
