"""What the builder and a supervisor say to each other: pickled messages with their length before them.

Both ends are one program that has forked, and the socket is theirs alone: the command never holds it.
"""

from __future__ import annotations

import pickle
import socket
import struct
from collections.abc import Iterator
from typing import NamedTuple

from builder.errors import BuilderError

_LENGTH = struct.Struct("<I")


class ProbeOverlay(NamedTuple):
    """Asks whether overlayfs works in a directory."""

    directory: str


class Stub(NamedTuple):
    """An empty file or directory that was made to mount something on.

    Attributes:
        path: relative to the root filesystem, without symlinks.
        directory: what it is.
        whiteout: the upper directory of the overlay had a whiteout in its place.
        parent_times: (atime, mtime) of its directory before it was made, in nanoseconds.
        made_at: mtime of its directory right after.
    """

    path: str
    directory: bool
    whiteout: bool
    parent_times: tuple[int, int]
    made_at: int


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
    """It was not possible to run the command; `bug` if the message is a traceback."""

    message: str
    hint: str | None = None
    bug: bool = False

    @classmethod
    def of(cls, error: BuilderError) -> Failed:
        return cls(error.message, error.hint)


Reply = Stubs | Exited | OverlayVerdict | Failed


def pack(message: object) -> bytes:
    """The bytes of a message."""
    data = pickle.dumps(message, pickle.HIGHEST_PROTOCOL)
    return _LENGTH.pack(len(data)) + data


def unpack(data: bytes) -> Iterator[object]:
    """The complete messages in `data`."""
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
