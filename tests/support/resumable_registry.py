"""A registry in memory that keeps what has arrived of an upload, and goes on from there (distribution-spec, "Push").

It is strict where the specification is: every answer moves the Location on and an old one is not known any more, chunks
come in order, with a Content-Range and not shorter than it says.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlsplit

from support.http_server import QuietHandler, Server

_BLOCK = 8192


@dataclass(slots=True)
class Session:
    """One upload.

    Attributes:
        data: what has arrived.
        acknowledged: bytes that the client has been told of.
        state: what the Location's query has to be.
    """

    name: str
    data: bytearray = field(default_factory=bytearray)
    acknowledged: int = 0
    state: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)


class ResumableRegistry:
    """Runs on a free port of 127.0.0.1 for as long as a ``with`` block lasts.

    Args:
        absolute: whether a Location is a whole URL.
        shortest: of a chunk that is not the last one, in bytes (``OCI-Chunk-Min-Length``).
        largest: body that is taken, in bytes; others are refused with 413, as nginx does.

    Attributes:
        received: bytes of blobs that have come in.
        resent: bytes that came again although their arrival had been acknowledged.
        opened, cancelled: uploads.
        requests: ``METHOD path`` of all requests.
    """

    def __init__(self, *, absolute: bool = False, shortest: int = 0, largest: int | None = None) -> None:
        self.absolute, self.shortest, self.largest = absolute, shortest, largest
        self.blobs: dict[str, bytes] = {}
        self.manifests: dict[str, bytes] = {}
        self.sessions: dict[str, Session] = {}
        self.received = self.resent = self.opened = self.cancelled = 0
        self.requests: list[str] = []
        self.lock = threading.Lock()
        self._server = Server(self, _Handler)

    def __enter__(self) -> ResumableRegistry:
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.stop()

    @property
    def port(self) -> int:
        return self._server.port

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"


class _Handler(QuietHandler):
    server: Server[ResumableRegistry]

    def do_any(self) -> None:
        registry, path = self.server.owner, urlsplit(self.path).path
        with registry.lock:
            registry.requests.append(f"{self.command} {path}")
        length = int(self.headers.get("Content-Length") or 0)
        if registry.largest is not None and length > registry.largest:
            self.close_connection = True
            self._send(413, body=b"<html>413 Request Entity Too Large</html>", content_type="text/html")
            self.wfile.flush()
            while length and (ignored := self.rfile.read(min(length, 1 << 16))):  # nginx lingers, too
                length -= len(ignored)
        elif path == "/v2/":
            self._send(200)
        elif "/blobs/uploads/" in path:
            self._upload(path, length)
        elif "/blobs/" in path:
            self._content(registry.blobs.get(path.rpartition("/")[2]), "application/octet-stream")
        elif self.command == "PUT":
            self._put_manifest(path, self.rfile.read(length))
        else:
            self._content(registry.manifests.get(path), "application/vnd.oci.image.manifest.v1+json")

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_any  # noqa: N815

    def _upload(self, path: str, length: int) -> None:
        registry = self.server.owner
        if self.command == "POST":
            with registry.lock:
                session = registry.sessions[str(registry.opened)] = Session(str(registry.opened))
                registry.opened += 1
            more = {"OCI-Chunk-Min-Length": str(registry.shortest)} if registry.shortest else {}
            self._move(202, path.rpartition("/")[0], session, more)
            return
        session_or_none = registry.sessions.get(path.rpartition("/")[2])
        query = parse_qs(urlsplit(self.path).query)
        if session_or_none is None:
            self._refuse(404, "BLOB_UPLOAD_UNKNOWN", length)
            return
        session = session_or_none
        with session.lock:  # whoever asks what has arrived waits for what is still being received
            if query.get("state") != [str(session.state)] and self.command != "GET":
                self._refuse(404, "BLOB_UPLOAD_UNKNOWN", length)
            elif self.command == "GET":
                session.acknowledged = len(session.data)
                self._move(204, path.rpartition("/")[0], session, self._range(session))
            elif self.command == "DELETE":
                registry.cancelled += 1
                del registry.sessions[session.name]
                self._send(204)
            elif self._receive(session, length):
                self._finish(path, session, query)

    def _receive(self, session: Session, length: int) -> bool:
        registry = self.server.owner
        start, final = len(session.data), self.command == "PUT"
        given = re.fullmatch(r"(\d+)-(\d+)", self.headers.get("Content-Range", ""))
        if given:
            start = int(given.group(1))
        whole_at_once = final and not given and not session.data
        if length and not whole_at_once and (not given or int(given.group(2)) - start + 1 != length):
            self._refuse(416, "BLOB_UPLOAD_INVALID", length)
            return False
        if start != len(session.data):
            with registry.lock:
                registry.resent += max(0, session.acknowledged - start)
            self._refuse(416, "BLOB_UPLOAD_INVALID", length)
            return False
        left = length
        while left:
            data = self.rfile.read1(min(left, _BLOCK))  # type: ignore[attr-defined]
            if not data:
                raise ConnectionError
            session.data += data
            left -= len(data)
            with registry.lock:
                registry.received += len(data)
        return True

    def _finish(self, path: str, session: Session, query: dict[str, list[str]]) -> None:
        registry = self.server.owner
        session.acknowledged = len(session.data)
        if self.command == "PATCH":
            self._move(202, path.rpartition("/")[0], session, self._range(session))
            return
        digest = f"sha256:{hashlib.sha256(session.data).hexdigest()}"
        if query.get("digest") != [digest]:
            self._refuse(400, "DIGEST_INVALID", 0)
            return
        registry.blobs[digest] = bytes(session.data)
        del registry.sessions[session.name]
        self._send(201, {"Docker-Content-Digest": digest})

    def _range(self, session: Session) -> dict[str, str]:
        return {"Range": f"0-{max(0, len(session.data) - 1)}"}

    def _move(self, status: int, path: str, session: Session, headers: dict[str, str]) -> None:
        session.state += 1
        origin = f"http://{self.headers['Host']}" if self.server.owner.absolute else ""
        location = f"{origin}{path}/{session.name}?kept=a%2Bb&state={session.state}"
        self._send(status, {"Location": location, **headers})

    def _put_manifest(self, path: str, data: bytes) -> None:
        registry, digest = self.server.owner, f"sha256:{hashlib.sha256(data).hexdigest()}"
        document = json.loads(data)
        named = [each["digest"] for each in (document["config"], *document["layers"])]
        if not all(each in registry.blobs for each in named):
            self._refuse(400, "MANIFEST_BLOB_UNKNOWN", 0)
            return
        registry.manifests[path] = data
        self._send(201, {"Docker-Content-Digest": digest})

    def _content(self, data: bytes | None, content_type: str) -> None:
        if data is None:
            self._refuse(404, "NOT_FOUND", 0)
        else:
            self._send(200, body=data, content_type=content_type)

    def _refuse(self, status: int, code: str, unread: int) -> None:
        self.close_connection = self.close_connection or unread > 0
        self._send(status, body=json.dumps({"errors": [{"code": code}]}).encode(), content_type="application/json")

    def _send(
        self, status: int, headers: dict[str, str] | None = None, body: bytes = b"", content_type: str = ""
    ) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        if content_type:
            self.send_header("Content-Type", content_type)
        if status != 204:
            self.send_header("Content-Length", str(len(body)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
