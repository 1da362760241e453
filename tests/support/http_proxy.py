"""A real HTTP proxy: tinyproxy, for as long as a `with` block lasts."""

from __future__ import annotations

import contextlib
import select
import socket
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from support.registry import free_port

_SECONDS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpProxy:
    """A running proxy."""

    url: str
    port: int
    log_file: Path

    def log(self) -> str:
        """What it has been asked for."""
        return self.log_file.read_text(errors="replace")


@contextlib.contextmanager
def tinyproxy(
    directory: Path,
    hosts: Mapping[str, str] = MappingProxyType({}),
    *,
    login: str = "",
    forbidden: Sequence[str] = (),
) -> Iterator[HttpProxy]:
    """Run tinyproxy with its files in `directory`.

    Args:
        hosts: which ``host:port`` answers for a host that only the proxy knows.
        login: ``user:password`` that it wants; it is part of `url`.
        forbidden: hosts that it answers 403 for.
    """
    port = free_port()
    at = f"{login}@" if login else ""
    proxy = HttpProxy(url=f"http://{at}127.0.0.1:{port}", port=port, log_file=directory / "tinyproxy.log")
    settings = [f"Port {port}", "Listen 127.0.0.1", f'LogFile "{proxy.log_file}"', "LogLevel Info", "MaxClients 20"]
    settings += [f'upstream http {place} "{host}"' for host, place in hosts.items()]
    if login:
        settings.append(f"BasicAuth {login.replace(':', ' ')}")
    if forbidden:
        (directory / "forbidden").write_text("\n".join(forbidden) + "\n")
        settings += [f'Filter "{directory / "forbidden"}"', "FilterDefaultDeny No"]
    configuration = directory / "tinyproxy.conf"
    configuration.write_text("\n".join(settings) + "\n")
    process = subprocess.Popen(["tinyproxy", "-d", "-c", str(configuration)], stdin=subprocess.DEVNULL)
    try:
        _wait(process, port)
        yield proxy
    finally:
        process.terminate()
        process.wait(_SECONDS)


def _wait(process: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + _SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
            return
        time.sleep(0.05)
    raise RuntimeError("tinyproxy does not answer")


@contextlib.contextmanager
def tunnel_end(port: int) -> Iterator[str]:
    """The far end of a proxy's tunnels: whatever CONNECT names, it leads to `port` of 127.0.0.1; yields ``host:port``.

    It stands in for the network behind a proxy, where names are known that are not known here.
    """
    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=_accept, args=(listening, port), daemon=True).start()
        yield f"127.0.0.1:{listening.getsockname()[1]}"


def _accept(listening: socket.socket, port: int) -> None:
    with contextlib.suppress(OSError):  # the end: it has been closed
        while True:
            connection, _ = listening.accept()
            threading.Thread(target=_tunnel, args=(connection, port), daemon=True).start()


def _tunnel(connection: socket.socket, port: int) -> None:
    with contextlib.suppress(OSError), connection:
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += connection.recv(1)
        with socket.create_connection(("127.0.0.1", port)) as server:
            connection.sendall(b"HTTP/1.0 200 Connection established\r\n\r\n")
            other = {connection: server, server: connection}
            while True:
                for source in select.select([connection, server], [], [])[0]:
                    data = source.recv(1 << 16)
                    if not data:
                        return
                    other[source].sendall(data)
