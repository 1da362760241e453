"""An SSH agent, forwarded: a socket of the command's own, so that any user of the image may be let in."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from builder.errors import UsageError


@contextmanager
def forwarded_agent(agent: Path, place: Path, mode: int, owner: tuple[int, int] | None) -> Iterator[None]:
    """Listen at `place` and connect everyone who comes to the agent's socket. Raises UsageError if it is not there."""
    if not agent.is_socket():
        raise UsageError(f"there is no SSH agent at {agent}", hint="start ssh-agent, or name its socket with --ssh")
    # A path of a socket may have no more than 107 bytes, so bind relative to its directory.
    directory = os.open(place.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listener.bind(f"/proc/self/fd/{directory}/{place.name}")
        os.chmod(place, mode)
        if owner is not None:
            os.chown(place, *owner)
        listener.listen()
        threading.Thread(target=_accept, args=(listener, str(agent)), name="ssh-agent", daemon=True).start()
        yield
    finally:
        # Only shutdown wakes a thread that waits in accept.
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        os.close(directory)
        with contextlib.suppress(OSError):
            place.unlink()


def _accept(listener: socket.socket, agent: str) -> None:
    while True:
        try:
            client, _ = listener.accept()
        except OSError:
            return
        upstream = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            upstream.connect(agent)
        except OSError:
            client.close()
            continue
        for source, sink in ((client, upstream), (upstream, client)):
            threading.Thread(target=_pump, args=(source, sink), daemon=True).start()


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while chunk := source.recv(65536):
            sink.sendall(chunk)
    with contextlib.suppress(OSError):
        sink.shutdown(socket.SHUT_WR)
