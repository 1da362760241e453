"""A TCP proxy that lets a given number of bytes through and then holds everything up, to stop a transfer midway."""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import Literal


class StallingProxy:
    """Forwards connections to a port of 127.0.0.1 until `after` bytes went in one direction; then it stands still.

    Connections stay open and silent from then on, as with a registry that hangs. `stalled` is set at that moment.

    Args:
        port: where to forward to.
        direction: ``download`` counts what comes from the server, ``upload`` what goes to it.
        after: bytes over all connections together; None to let everything through and only count.

    `passed` is the number of bytes that have gone in that direction.
    """

    def __init__(self, port: int, direction: Literal["download", "upload"], after: int | None = None) -> None:
        self._target, self._direction, self._after = port, direction, after
        self.passed = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._lock = threading.Lock()
        self._sockets: list[socket.socket] = []
        self.stalled = threading.Event()

    def __enter__(self) -> StallingProxy:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            for connection in self._sockets:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
                connection.close()

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self._listener.getsockname()[1]}"

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # the listener is closed at the end
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(("127.0.0.1", self._target))
                with self._lock:
                    self._sockets += [client, server]
                self._forward(client, server, counted=self._direction == "upload")
                self._forward(server, client, counted=self._direction == "download")

    def _forward(self, source: socket.socket, sink: socket.socket, *, counted: bool) -> None:
        threading.Thread(target=self._copy, args=(source, sink, counted), daemon=True).start()

    def _copy(self, source: socket.socket, sink: socket.socket, counted: bool) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(16384):
                if self.stalled.is_set() or (counted and not self._take(len(data))):
                    return
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)

    def _take(self, count: int) -> bool:
        """Whether `count` more bytes may pass."""
        with self._lock:
            if self._after is None or self.passed + count <= self._after:
                self.passed += count
                return True
        self.stalled.set()
        return False
