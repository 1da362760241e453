"""What a tar header or an lstat says of one filesystem object, and where its bytes are."""

from __future__ import annotations

import io
import os
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import BinaryIO, NamedTuple, Protocol

from builder.digest import Readable

# A pipe that has taken the file's place must not make anyone wait.
_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK


class Kind(IntEnum):
    """Type of a filesystem object; the values are tar's type flags (POSIX pax, "ustar Interchange Format")."""

    FILE = 0x30
    HARDLINK = 0x31
    SYMLINK = 0x32
    CHAR = 0x33
    BLOCK = 0x34
    DIRECTORY = 0x35
    FIFO = 0x36


class Content(Protocol):
    """Where a regular file's bytes can be read. `open` may be called any number of times; the caller closes."""

    def open(self) -> BinaryIO: ...


@dataclass(frozen=True, slots=True)
class FileContent:
    """The bytes of a file on disk. A symlink in its place is not followed (OSError)."""

    path: str

    def open(self) -> BinaryIO:
        return open(self.path, "rb", opener=_no_follow, buffering=0)

    def read(self, most: int) -> bytes:
        """The first `most` bytes at once: for a small file a third of the time of `open`."""
        descriptor = os.open(self.path, _FLAGS)
        try:
            return os.read(descriptor, most)
        finally:
            os.close(descriptor)


@dataclass(frozen=True, slots=True)
class BytesContent:
    """Bytes in memory (heredocs)."""

    data: bytes

    def open(self) -> BinaryIO:
        return io.BytesIO(self.data)


def _no_follow(path: str, _flags: int) -> int:
    return os.open(path, _FLAGS)


class Entry(NamedTuple):
    """One filesystem object (an inode) without its name. Immutable; hardlinks are the same object, by identity.

    Attributes:
        kind: what it is. HARDLINK appears only in what a tar reader yields, never in a tree.
        mode: permission bits with setuid, setgid and sticky (07777).
        uid, gid: numeric owner as the image has it (inside the user namespace, where there is one).
        size: bytes of a regular file, else 0.
        mtime: whole seconds since the epoch; may be negative.
        link: a symlink's target as written, a HARDLINK's target as a path in its layer, else "".
        device: (major, minor) of CHAR and BLOCK, else None.
        xattrs: name to value, None if it has none.
        content: where a regular file's bytes are; None while only the header is known.

    Names and link targets are str with surrogateescape, as os.fsdecode gives them.
    """

    kind: Kind
    mode: int
    uid: int = 0
    gid: int = 0
    size: int = 0
    mtime: int = 0
    link: str = ""
    device: tuple[int, int] | None = None
    xattrs: Mapping[str, bytes] | None = None
    content: Content | None = None


class Member(NamedTuple):
    """An entry as it stands in a tar: its path (relative, no leading or trailing slash, no ``.`` parts) and its bytes.

    `data` is to be read (or left) before the next member is asked for; None if it has none.
    """

    path: str
    entry: Entry
    data: Readable | None
