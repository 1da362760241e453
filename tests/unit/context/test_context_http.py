"""Files behind URLs, from servers that redirect, compress, break off or want a password."""

from __future__ import annotations

import base64
import gzip
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from builder.context.http import download
from builder.context.remote_file import fetch
from builder.digest import Digest
from builder.errors import ContextError, DigestMismatch
from builder.progress import Silent
from builder.registry.network import Network
from builder.registry.policy import RegistryPolicy

BASIC = "Basic " + base64.b64encode(b"us:er:pa ss").decode()


class Handler(BaseHTTPRequestHandler):
    asked: list[tuple[str, str | None]]
    broken: int

    def do_GET(self) -> None:
        kind = type(self)
        kind.asked.append((self.path, self.headers.get("Authorization")))
        path = self.path.partition("?")[0]
        if path == "/away":
            self.answer(302, {"Location": f"http://localhost:{self.server.server_port}/file"})  # type: ignore[attr-defined]
        elif path == "/here":
            self.answer(302, {"Location": "/file"})
        elif path == "/circle":
            self.answer(302, {"Location": "/circle"})
        elif path == "/compressed":
            self.answer(200, {"Content-Encoding": "gzip"}, gzip.compress(b"content" * 1000))
        elif path == "/damaged":
            self.answer(200, {"Content-Encoding": "gzip"}, b"not compressed")
        elif path == "/short" and kind.broken:
            kind.broken -= 1
            self.answer(200, {"Content-Length": "7"}, b"con")
        elif path in ("/file", "/short"):
            self.answer(200, {"Last-Modified": "Tue, 13 May 2014 16:53:20 GMT"}, b"content")
        else:
            self.answer(int(path[1:]))

    def answer(self, status: int, headers: dict[str, str] | None = None, body: bytes = b"") -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def handler() -> type[Handler]:
    return type("Own", (Handler,), {"asked": [], "broken": 0})


@pytest.fixture
def server(handler: type[Handler]) -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as http:
        threading.Thread(target=http.serve_forever, args=(0.02,), daemon=True).start()
        yield f"127.0.0.1:{http.server_port}"
        http.shutdown()


def network(**environment: str) -> Network:
    return Network(RegistryPolicy(), environment, Silent())


def test_a_password_is_for_the_host_alone(server: str, handler: type[Handler], tmp_path: Path) -> None:
    login = "us%3Aer:pa%20ss@"
    for path, then in (("here", BASIC), ("away", None)):
        handler.asked.clear()
        file = fetch(f"http://{login}{server}/{path}?query", tmp_path, network())
        assert file.path.read_bytes() == b"content"
        assert handler.asked == [(f"/{path}?query", BASIC), ("/file", then)]
        assert (file.name, file.mtime) == (path, 1400000000)


def test_compression_is_undone_for_contexts_alone(server: str, tmp_path: Path) -> None:
    """ADD keeps what came, as BuildKit does."""
    with download(f"http://{server}/compressed", network()) as stream:
        assert stream.read(5) + stream.read() == b"content" * 1000
    added = fetch(f"http://{server}/compressed", tmp_path, network())
    assert gzip.decompress(added.path.read_bytes()) == b"content" * 1000
    with pytest.raises(ContextError, match="not compressed as the server says"):
        with download(f"http://{server}/damaged", network()) as stream:
            stream.read()


def test_what_breaks_off_is_tried_again(
    server: str, handler: type[Handler], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    handler.broken = 2
    assert fetch(f"http://{server}/short", tmp_path, network()).size == 7
    handler.broken = 3
    with pytest.raises(ContextError, match=rf"cannot fetch http://{server}/short: "):
        fetch(f"http://u:secret@{server}/short", tmp_path, network())


@pytest.mark.parametrize(
    ("path", "message", "requests"),
    [
        ("404", "/404 answered 404 Not Found", 1),
        ("503", "/503 answered 503 Service", 3),
        ("circle", "redirects more", 11),
    ],
)
def test_refusals(
    server: str,
    handler: type[Handler],
    tmp_path: Path,
    path: str,
    message: str,
    requests: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    with pytest.raises(ContextError, match=message) as caught:
        fetch(f"http://u:secret@{server}/{path}", tmp_path, network())
    assert "secret" not in str(caught.value)
    assert len(handler.asked) in (requests, requests - 1)


def test_another_content(server: str, tmp_path: Path) -> None:
    with pytest.raises(DigestMismatch, match="/file is sha256:"):
        fetch(f"http://{server}/file", tmp_path, network(), Digest.of(b"other"))
