"""HTTP servers of the tests' own: one that answers what it is told to, and a small registry that can misbehave."""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import ssl
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from support.http_server import QuietHandler, Server

from builder.digest import Digest
from builder.image.reference import Reference
from builder.progress import Progress, Recorded
from builder.registry.client import Registries
from builder.registry.credentials import Credentials
from builder.registry.policy import Backoff, RegistryPolicy

QUICK = Backoff(attempts=3, base=0.001, longest=0.01)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A request as it came in; header names in lower case."""

    method: str
    path: str
    query: Mapping[str, str]
    scopes: tuple[str, ...]
    headers: Mapping[str, str]
    body: bytes
    port: int

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What to answer. With `cut` the connection is closed after so many bytes of the body."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    cut: int | None = None


RESET = Answer(cut=-1)  # not even a status line
Handler = Callable[[Asked], Answer]


class StandIn:
    """An HTTP/1.1 server on a free port of 127.0.0.1, for as long as a ``with`` block lasts.

    Attributes:
        asked: every request, in the order of arrival; those of the scheme's probe (``GET /v2/``) are left out.
        connections: how many were opened.
    """

    def __init__(self, handler: Handler | None = None, tls: ssl.SSLContext | None = None) -> None:
        self.asked: list[Asked] = []
        self.connections = 0
        self._handler = handler
        self._server = Server(self, RequestHandler)
        if tls:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)

    def __enter__(self) -> StandIn:
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.stop()

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def port(self) -> int:
        return self._server.port

    @property
    def requests(self) -> list[str]:
        """``METHOD path`` of every request."""
        return [str(each) for each in self.asked]

    def reference(self, name: str) -> Reference:
        return Reference.parse(f"{self.host}/{name}")

    def answer(self, asked: Asked) -> Answer:
        assert self._handler
        return self._handler(asked)


class RequestHandler(QuietHandler):
    server: Server[StandIn]

    def setup(self) -> None:
        self.server.owner.connections += 1
        super().setup()

    def do_any(self) -> None:
        stand_in = self.server.owner
        asked = self._asked(stand_in.port)
        if (asked.method, asked.path) != ("GET", "/v2/"):
            stand_in.asked.append(asked)
        self._send(stand_in.answer(asked))

    def _asked(self, port: int) -> Asked:
        parts = urlsplit(self.path)
        pairs = parse_qsl(parts.query)
        return Asked(
            method=self.command,
            path=parts.path,
            query=dict(pairs),
            scopes=tuple(value for key, value in pairs if key == "scope"),
            headers={key.lower(): value for key, value in self.headers.items()},
            body=self.rfile.read(int(self.headers.get("Content-Length") or 0)),
            port=port,
        )

    def _send(self, answer: Answer) -> None:
        if answer.cut == -1:
            self.reset()
            return
        self.send_response(answer.status)
        for name, value in {"Content-Length": str(len(answer.body)), **answer.headers}.items():
            if value:
                self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body[: answer.cut])
        if answer.cut is not None:
            self.close_connection = True

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_any  # noqa: N815


class FakeRegistry(StandIn):
    """A registry in memory. `before` sees each request first and may answer it in its place.

    Attributes:
        blobs: content by (repository, digest).
        manifests: (media type, content) by (repository, tag or digest).
    """

    def __init__(
        self, before: Callable[[Asked], Answer | None] | None = None, tls: ssl.SSLContext | None = None
    ) -> None:
        super().__init__(tls=tls)
        self.blobs: dict[tuple[str, str], bytes] = {}
        self.manifests: dict[tuple[str, str], tuple[str, bytes]] = {}
        self.before = before
        self.locations = "/v2/{repository}/blobs/uploads/1?_state=a%2Bb"

    def __enter__(self) -> FakeRegistry:
        super().__enter__()
        return self

    def add_blob(self, repository: str, data: bytes) -> Digest:
        digest = Digest.of(data)
        self.blobs[repository, str(digest)] = data
        return digest

    def add_manifest(self, repository: str, tag: str, media_type: str, document: Any) -> Digest:
        data = document if isinstance(document, bytes) else json.dumps(document).encode()
        digest = Digest.of(data)
        for name in (tag, str(digest)):
            self.manifests[repository, name] = (media_type, data)
        return digest

    def answer(self, asked: Asked) -> Answer:
        if asked.path == "/v2/":
            return Answer()
        if self.before and (answer := self.before(asked)):
            return answer
        found = re.fullmatch(r"/v2/(.+)/(blobs|manifests)/(.*)", asked.path)
        assert found, asked.path
        if "/blobs/uploads" in asked.path:
            return self._upload(asked, asked.path.removeprefix("/v2/").partition("/blobs/")[0])
        repository, kind, name = found.groups()
        return self._blob(asked, repository, name) if kind == "blobs" else self._manifest(asked, repository, name)

    def _blob(self, asked: Asked, repository: str, name: str) -> Answer:
        data = self.blobs.get((repository, name))
        if data is None:
            return error(404, "BLOB_UNKNOWN")
        start = re.fullmatch(r"bytes=(\d+)-", asked.headers.get("range", ""))
        if start:
            offset = int(start.group(1))
            headers = {"Content-Range": f"bytes {offset}-{len(data) - 1}/{len(data)}"}
            return Answer(status=206, headers=headers, body=data[offset:])
        return Answer(body=data)

    def _manifest(self, asked: Asked, repository: str, name: str) -> Answer:
        if asked.method == "PUT":
            self.manifests[repository, name] = (asked.headers["content-type"], asked.body)
            digest = f"sha256:{hashlib.sha256(asked.body).hexdigest()}"
            return Answer(status=201, headers={"Docker-Content-Digest": digest})
        if (repository, name) not in self.manifests:
            return error(404, "MANIFEST_UNKNOWN")
        media_type, data = self.manifests[repository, name]
        return Answer(headers={"Content-Type": media_type}, body=data)

    def _upload(self, asked: Asked, repository: str) -> Answer:
        if asked.method == "POST":
            source = (asked.query.get("from", ""), asked.query.get("mount", ""))
            if source in self.blobs:
                self.blobs[repository, source[1]] = self.blobs[source]
                return Answer(status=201)
            return Answer(status=202, headers={"Location": self.locations.format(repository=repository)})
        if asked.method == "DELETE":
            return Answer(status=204)
        if asked.method == "GET":  # it keeps nothing of what breaks off
            return error(404, "BLOB_UPLOAD_UNKNOWN")
        if str(Digest.of(asked.body)) != asked.query["digest"]:
            return error(400, "DIGEST_INVALID")
        self.blobs[repository, asked.query["digest"]] = asked.body
        return Answer(status=201)


def error(status: int, code: str, message: str = "no", **headers: str) -> Answer:
    """A registry's error as the distribution-spec has it."""
    body = json.dumps({"errors": [{"code": code, "message": message}]}).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(status=status, headers={"Content-Type": "application/json", **named}, body=body)


class FixedKeychain:
    """A Keychain with one answer for every repository."""

    def __init__(self, credentials: Credentials | None = None) -> None:
        self._credentials = credentials

    def credentials(self, reference: Reference, /) -> Credentials | None:
        return self._credentials

    def describe(self, reference: Reference, /) -> str:
        return "the test's keychain was asked"


def registries(
    policy: RegistryPolicy | None = None,
    credentials: Credentials | None = None,
    progress: Progress | None = None,
    environment: Mapping[str, str] | None = None,
) -> Registries:
    """Registries with short pauses, and credentials that fit every repository."""
    return Registries(
        policy or RegistryPolicy(backoff=QUICK), FixedKeychain(credentials), progress or Recorded(), environment or {}
    )


@contextlib.contextmanager
def fake_registry(before: Callable[[Asked], Answer | None] | None = None) -> Iterator[FakeRegistry]:
    with FakeRegistry(before) as registry:
        yield registry
