"""What the builder and a supervisor say to each other: pickled messages with their length before them.

Both ends are one program that has forked, and the socket is theirs alone: the command never holds it.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from typing import NamedTuple

from builder.errors import BuilderError
from builder.isolation.command import Command

NEW, QUIT = b"n", b"q"
"""What the builder asks of the helper."""

OPENED, REFUSED = b"o", b"r"
"""Answers to NEW. With the first come control socket, stdout and stderr of a command, after the other the reason."""

_LENGTH = struct.Struct("<I")


class ProbeOverlay(NamedTuple):
    """Asks whether overlayfs works in a directory."""

    directory: str


class Start(NamedTuple):
    """Tells init to run the command on the root filesystem that is mounted at `root`."""

    command: Command
    root: str


class CopiedUp(NamedTuple):
    """A directory that overlayfs had to copy into the upper directory in order to make a stub in it.

    Attributes:
        path: relative to the root filesystem.
        status: (mode, uid, gid, mtime in nanoseconds) that it had before.
    """

    path: str
    status: tuple[int, int, int, int]


class Stub(NamedTuple):
    """An empty file or directory that was made to mount something on.

    Attributes:
        path: relative to the root filesystem, without symlinks.
        directory: what it is.
        whiteout: the upper directory of the overlay had a whiteout in its place.
        parent_times: (atime, mtime) of its directory before it was made, in nanoseconds.
        made_at: mtime of its directory right after.
        copied_up: directories that were not in the upper directory before, the deepest first.
    """

    path: str
    directory: bool
    whiteout: bool
    parent_times: tuple[int, int]
    made_at: int
    copied_up: tuple[CopiedUp, ...]


class Stubs(NamedTuple):
    """All that was made for this command."""

    stubs: tuple[Stub, ...]


class Exited(NamedTuple):
    """The command has ended, with this status."""

    status: int


class OverlayVerdict(NamedTuple):
    """Why overlayfs does not work, None if it does."""

    refusal: str | None


class Failed(NamedTuple):
    """It was not possible to run the command; `is_bug` if the message is a traceback."""

    message: str
    hint: str | None = None
    is_bug: bool = False

    @classmethod
    def bug(cls, error: BaseException) -> Failed:
        import traceback

        return cls("".join(traceback.format_exception(error)), is_bug=True)

    @classmethod
    def of(cls, error: BuilderError) -> Failed:
        return cls(error.message, error.hint)


def pack(message: object) -> bytes:
    """The bytes of a message."""
    import pickle  # not needed by a build that runs nothing

    data = pickle.dumps(message, pickle.HIGHEST_PROTOCOL)
    return _LENGTH.pack(len(data)) + data


def unpack(data: bytes) -> Iterator[object]:
    """The complete messages in `data`."""
    import pickle

    position = 0
    while position + _LENGTH.size <= len(data):
        (length,) = _LENGTH.unpack_from(data, position)
        position += _LENGTH.size
        if position + length > len(data):
            return
        yield pickle.loads(data[position : position + length])
        position += length


def receive(connection: socket.socket) -> object:
    """One message. Raises EOFError if the other side has closed."""
    import pickle

    (length,) = _LENGTH.unpack(_read_exactly(connection, _LENGTH.size))
    return pickle.loads(_read_exactly(connection, length))


def _read_exactly(connection: socket.socket, size: int) -> bytes:
    data = bytearray()
    while len(data) < size:
        chunk = connection.recv(min(size - len(data), 1 << 20))
        if not chunk:
            raise EOFError
        data += chunk
    return bytes(data)
