"""A web server for ADD: what cases serve below their own name, and git repositories by smart HTTP."""

from __future__ import annotations

import contextlib
import os
import subprocess
import threading
from collections.abc import Iterator, Mapping
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

from conformance.attributes import Attributes
from conformance.surroundings import content

_IDENTITY = {
    "GIT_AUTHOR_NAME": "A", "GIT_AUTHOR_EMAIL": "a@example.test", "GIT_AUTHOR_DATE": "1400000000 +0000",
    "GIT_COMMITTER_NAME": "C", "GIT_COMMITTER_EMAIL": "c@example.test", "GIT_COMMITTER_DATE": "1400000000 +0000",
}  # fmt: skip


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    served: Mapping[str, Attributes] = {}
    repositories = Path()

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        path = urlsplit(self.path).path.lstrip("/")
        if path.startswith("git/"):
            self._git(b"")
        elif path in self.served:
            self._answer(self.served[path])
        else:
            self._answer(Attributes(type="file", data=b"there is no such thing\n", status=404))

    do_HEAD = do_GET  # noqa: N815 - the name that http.server looks for

    def do_POST(self) -> None:
        self._git(self._body())

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def _answer(self, attributes: Attributes) -> None:
        data = content(attributes)
        self.send_response(attributes.status)
        self.send_header("Content-Length", str(len(data)))
        if attributes.mtime is not None:
            self.send_header("Last-Modified", formatdate(attributes.mtime, usegmt=True))
        for name, value in (attributes.headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def _git(self, body: bytes) -> None:
        """``git http-backend``, called as the CGI program that it is."""
        url = urlsplit(self.path)
        environment = {
            "PATH": os.environ["PATH"],
            "GIT_PROJECT_ROOT": str(self.repositories),
            "GIT_HTTP_EXPORT_ALL": "1",
            "PATH_INFO": url.path.removeprefix("/git"),
            "QUERY_STRING": url.query,
            "REQUEST_METHOD": self.command,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(len(body)),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            "HTTP_GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
            "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": "safe.directory",
            "GIT_CONFIG_VALUE_0": "*",
        }
        done = subprocess.run(["git", "http-backend"], input=body, capture_output=True, env=environment)
        head, _, data = done.stdout.partition(b"\r\n\r\n")
        fields = dict(line.split(": ", 1) for line in head.decode().splitlines() if ": " in line)
        self.send_response(int(fields.pop("Status", "200 OK").split()[0]))
        for name, value in fields.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


@contextlib.contextmanager
def web_server(served: Mapping[str, Attributes], directory: Path) -> Iterator[str]:
    """Serve `served`, and ``git/project.git``; yields ``host:port``."""
    make_repositories(directory)
    handler = type("Handler", (_Handler,), {"served": served, "repositories": directory})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()


def make_repositories(directory: Path) -> None:
    """``project.git``: branch main (tagged v1 one commit before), branch other; the commits are always the same."""
    work = directory / "work"
    work.mkdir(parents=True)

    def git(*arguments: str) -> None:
        environment = {**_IDENTITY, "PATH": os.environ["PATH"], "HOME": str(directory), "GIT_CONFIG_NOSYSTEM": "1"}
        subprocess.run(["git", *arguments], cwd=work, env=environment, check=True, capture_output=True)

    def commit(message: str) -> None:
        git("add", "--all")
        git("commit", "--quiet", "--message", message)

    git("init", "--quiet", "--initial-branch=main")
    (work / "readme").write_text("first\n")
    (work / "sub/deep").mkdir(parents=True)
    (work / "sub/deep/file").write_text("deep\n")
    (work / "run.sh").write_text("#!/bin/sh\n")
    (work / "run.sh").chmod(0o755)
    (work / "link").symlink_to("readme")
    commit("first")
    git("tag", "v1")
    git("tag", "--annotate", "--message", "annotated", "v1-annotated")
    (work / "readme").write_text("second\n")
    commit("second")
    git("checkout", "--quiet", "-b", "other", "v1")
    (work / "only-other").write_text("other\n")
    commit("other")
    git("checkout", "--quiet", "main")
    git("clone", "--quiet", "--bare", ".", str(directory / "project.git"))
    for key in ("uploadpack.allowAnySHA1InWant", "uploadpack.allowFilter"):
        git("--git-dir", str(directory / "project.git"), "config", key, "true")
