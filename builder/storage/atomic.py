"""Files that appear complete or not at all."""

from __future__ import annotations

import contextlib
import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from builder.storage.failure import explained


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A stream whose bytes become the file at `path` when the block ends well; otherwise nothing changes.

    Permissions follow the umask, as with a file opened directly. What is no regular file (``/dev/stdout``, a pipe) is
    written directly, since it cannot be replaced. Raises StorageError.
    """
    if _is_special(path):
        with explained("write", path), open(path, "wb") as direct:
            yield direct
        return
    with explained("write", path):
        # a link is followed, so that the file it names is replaced and not the link
        target = Path(os.path.realpath(path))
        descriptor, temporary = tempfile.mkstemp(prefix=f".{target.name[:100]}.", dir=target.parent)
        try:
            with open(descriptor, "wb") as stream:
                yield stream
                os.fchmod(stream.fileno(), 0o666 & ~_umask())
            os.replace(temporary, target)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
            raise


def write_atomically(path: Path, data: bytes) -> None:
    """Replace `path` by a file of `data`. Raises StorageError."""
    with replacing(path) as stream:
        stream.write(data)


def _is_special(path: Path) -> bool:
    try:
        mode = os.stat(path).st_mode
    except OSError:
        return False
    return not stat.S_ISREG(mode) and not stat.S_ISDIR(mode)


def _umask() -> int:
    """The umask, read without setting it: it belongs to the whole process."""
    with open("/proc/self/status", encoding="ascii", errors="replace") as status:
        for line in status:
            if line.startswith("Umask:"):
                return int(line.split()[1], 8)
    return 0o022
