"""The sockets that are open, so that a build that stops need not wait for whoever is silent at the other end."""

from __future__ import annotations

import weakref
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import socket


class Sockets:
    """Open sockets, of which nobody has to be told when they are closed. Thread-safe, and without a lock.

    `close` may therefore be called from a signal handler.
    """

    def __init__(self) -> None:
        self._sockets: dict[int, weakref.ref[socket.socket]] = {}
        self._closed = False

    def add(self, opened: socket.socket) -> None:
        """Remember a socket; one that comes after the end is of no use from the beginning."""
        key = id(opened)
        self._sockets[key] = weakref.ref(opened, lambda _: self._sockets.pop(key, None))
        if self._closed:
            _shut(opened)

    def close(self) -> None:
        """Let every read and write end with an error or an end of file, now and from now on."""
        self._closed = True
        self.interrupt()

    def interrupt(self) -> None:
        """Do so for what is open now; new connections may be made."""
        for reference in list(self._sockets.values()):
            opened = reference()
            if opened is not None:
                _shut(opened)


def _shut(opened: socket.socket) -> None:
    """Whoever is blocked in the socket wakes up; closing it under them would not do that.

    Not by the method of SSLSocket, which takes the TLS state away from under whoever uses it.
    """
    import socket  # here: a process that opens none need not know how

    with suppress(OSError, ValueError):
        socket.socket.shutdown(opened, socket.SHUT_RDWR)
