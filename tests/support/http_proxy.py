"""A real HTTP proxy: tinyproxy, for as long as a `with` block lasts."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from support.registry import free_port

_SECONDS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpProxy:
    """A running proxy."""

    url: str
    log_file: Path

    def log(self) -> str:
        """What it has been asked for."""
        return self.log_file.read_text(errors="replace")


@contextlib.contextmanager
def tinyproxy(directory: Path, hosts: Mapping[str, str]) -> Iterator[HttpProxy]:
    """Run tinyproxy with its files in `directory`.

    Args:
        hosts: which ``host:port`` answers for a host that only the proxy knows.
    """
    port = free_port()
    proxy = HttpProxy(url=f"http://127.0.0.1:{port}", log_file=directory / "tinyproxy.log")
    settings = [f"Port {port}", "Listen 127.0.0.1", f'LogFile "{proxy.log_file}"', "LogLevel Info", "MaxClients 20"]
    settings += [f'upstream http {place} "{host}"' for host, place in hosts.items()]
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
