"""What the tests' HTTP servers have in common: a free port of 127.0.0.1, and no words when clients hang up."""

from __future__ import annotations

import contextlib
import http.server
import socket
import struct
import threading
from typing import Generic, TypeVar

OwnerT = TypeVar("OwnerT")


class Server(http.server.ThreadingHTTPServer, Generic[OwnerT]):
    """Answers with `handler`, which finds in `server.owner` whom it works for."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, owner: OwnerT, handler: type[http.server.BaseHTTPRequestHandler]) -> None:
        self.owner = owner
        super().__init__(("127.0.0.1", 0), handler)

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    def handle_error(self, *_: object) -> None:
        return

    def start(self) -> None:
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()

    def stop(self) -> None:
        self.shutdown()
        self.server_close()


class QuietHandler(http.server.BaseHTTPRequestHandler):
    """A handler that writes no log and takes a client's hanging up for granted."""

    protocol_version = "HTTP/1.1"

    def reset(self) -> None:
        """Break the connection with a TCP reset."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True
        self.connection.close()

    def finish(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            super().finish()

    def log_message(self, *_: object) -> None:
        return
