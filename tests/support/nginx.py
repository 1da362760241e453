"""A real nginx in front of servers of this machine, by TLS or in plain HTTP."""

from __future__ import annotations

import contextlib
import getpass
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from support.certificates import Certificate
from support.registry import free_port

_SECONDS = 20
_PROXY = """
            proxy_pass http://127.0.0.1:{port};
            proxy_set_header Host $http_host;
            proxy_set_header X-Real-IP $remote_addr;
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
            proxy_set_header X-Forwarded-Proto $scheme;
            proxy_read_timeout 900;
            proxy_cache off;
            proxy_buffering off;
            proxy_request_buffering off;
            proxy_http_version 1.1;
"""


@contextlib.contextmanager
def nginx(
    locations: Mapping[str, int], shown: Certificate | None = None, *, body_size: str = "0", port: int | None = None
) -> Iterator[str]:
    """Run nginx as GitLab's package has it before a registry; yields its ``host:port``.

    Args:
        locations: URL prefixes, and the port of 127.0.0.1 that each leads to.
        shown: the certificate, for TLS.
        body_size: ``client_max_body_size``; 0 is no limit.
        port: where it listens, any by default.
    """
    port = port or free_port()
    directory = Path(tempfile.mkdtemp(prefix="nginx-", dir="/var/tmp"))
    try:
        (directory / "nginx.conf").write_text(_configuration(directory, port, locations, shown, body_size))
        command = ["nginx", "-p", str(directory), "-c", str(directory / "nginx.conf"), "-e", str(directory / "log")]
        process = subprocess.Popen([*command, "-g", "daemon off;"], stdin=subprocess.DEVNULL)
        try:
            _wait(process, port, directory / "log")
            yield f"127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(_SECONDS)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _configuration(
    directory: Path, port: int, locations: Mapping[str, int], shown: Certificate | None, body_size: str
) -> str:
    tls = f"ssl_certificate {shown.file}; ssl_certificate_key {shown.key};" if shown else ""
    places = "\n".join(
        f"        location {prefix} {{{_PROXY.format(port=target)}        }}" for prefix, target in locations.items()
    )
    temporary = "\n".join(
        f"    {kind}_temp_path {directory / kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    return f"""
user {getpass.getuser()};
worker_processes 1;
pid {directory / "pid"};
events {{ worker_connections 256; }}
http {{
{temporary}
    access_log off;
    server {{
        listen 127.0.0.1:{port} {"ssl" if shown else ""};
        {tls}
        client_max_body_size {body_size};
        chunked_transfer_encoding on;
{places}
    }}
}}
"""


def _wait(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + _SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
            return
        time.sleep(0.05)
    raise RuntimeError(f"nginx does not answer:\n{log.read_text() if log.exists() else ''}")
