"""A name server that knows every name: all are 127.0.0.1."""

from __future__ import annotations

import contextlib
import socket
import struct
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

_ADDRESS = "127.0.0.77"  # a resolver asks at port 53, which is perhaps taken on 127.0.0.1
_A = 1


@contextlib.contextmanager
def name_server() -> Iterator[Path]:
    """Answer on the loopback interface (needs root); yields a resolv.conf that names this server alone."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server, tempfile.TemporaryDirectory() as directory:
        server.bind((_ADDRESS, 53))
        threading.Thread(target=_serve, args=(server,), daemon=True).start()
        file = Path(directory, "resolv.conf")
        file.write_text(f"nameserver {_ADDRESS}\n")
        yield file


def _serve(server: socket.socket) -> None:
    with contextlib.suppress(OSError):  # the end: it has been closed
        while True:
            question, sender = server.recvfrom(512)
            server.sendto(_answer(question), sender)


def _answer(message: bytes) -> bytes:
    """RFC 1035, 4.1: the question again, and an A record if it asked for one."""
    end = message.index(b"\0", 12) + 5
    kind = struct.unpack("!H", message[end - 4 : end - 2])[0]
    found = kind == _A
    header = message[:2] + struct.pack("!HHHHH", 0x8180, 1, int(found), 0, 0)
    record = struct.pack("!HHHIH", 0xC00C, _A, 1, 60, 4) + socket.inet_aton("127.0.0.1")
    return header + message[12:end] + (record if found else b"")
