"""An HTTP proxy in front of a registry that does to chosen requests what networks, proxies and storages do.

Everything else goes through as it is, streamed both ways, with the client's Host header, so that a registry's absolute
URLs lead back through the proxy.
"""

from __future__ import annotations

import http.client
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from support.http_server import QuietHandler, Server

_BLOCK = 16384
_HOP_BY_HOP = ("connection", "transfer-encoding", "keep-alive")


@dataclass(frozen=True, slots=True)
class Passing:
    """A request on its way. `method` and `path` (with its query) as they came; header names in lower case."""

    method: str
    path: str
    headers: Mapping[str, str]

    @property
    def uploads(self) -> bool:
        """True if it carries a blob's content."""
        return self.method in ("PUT", "PATCH") and "/blobs/uploads/" in self.path

    @property
    def downloads(self) -> bool:
        return self.method == "GET" and "/blobs/sha256:" in self.path

    def __str__(self) -> str:
        return f"{self.method} {self.path.partition('?')[0]}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What to do with a request; the first that is given counts.

    Attributes:
        status: answer with it, and do not forward anything.
        reset_upload: forward so many bytes of the request's body, then reset both connections.
        stall_upload: forward so many bytes of the request's body, then read no more, until the proxy is closed.
        reset_download: forward so many bytes of the response's body, then reset the connection.
        truncate: forward so many bytes of the response's body, then end the connection in an orderly way.
        corrupt: change the last byte of the response's body.
        stall: stand still after so many bytes of the response's body, until the proxy is closed.
        slow: pass everything on, but wait so many seconds before each MiB of either body.
    """

    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    reset_upload: int | None = None
    stall_upload: int | None = None
    reset_download: int | None = None
    truncate: int | None = None
    corrupt: bool = False
    stall: int | None = None
    slow: float = 0.0


Plan = Callable[[Passing], Fault | None]


class FaultProxy:
    """Forwards to a port of 127.0.0.1 for as long as a ``with`` block lasts.

    Args:
        plan: asked for each request; None lets it through. Calls do not overlap.

    Attributes:
        passed: all requests, in the order of their arrival.
        stalled: set when a response stands still.
    """

    def __init__(self, port: int, plan: Plan) -> None:
        self.port, self.passed = port, list[Passing]()
        self.stalled, self.closing = threading.Event(), threading.Event()
        self._plan, self._lock = plan, threading.Lock()
        self._server = Server(self, _Handler)

    def __enter__(self) -> FaultProxy:
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.closing.set()
        self._server.stop()

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self._server.port}"

    def requests(self) -> list[str]:
        """``METHOD path`` of all requests."""
        return [str(each) for each in self.passed]

    def fault(self, passing: Passing) -> Fault:
        with self._lock:
            self.passed.append(passing)
            return self._plan(passing) or Fault()


def once(matches: Callable[[Passing], bool], *faults: Fault) -> Plan:
    """The faults, one after the other, for the requests that match; then nothing more."""
    left = list(faults)
    return lambda passing: left.pop(0) if left and matches(passing) else None


class _Handler(QuietHandler):
    server: Server[FaultProxy]

    def do_any(self) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        fault = self.server.owner.fault(Passing(self.command, self.path, headers))
        if fault.status is not None:
            self._answer(fault)
            return
        upstream = http.client.HTTPConnection("127.0.0.1", self.server.owner.port, timeout=120)
        try:
            if self._forward(upstream, fault):
                self._back(upstream.getresponse(), fault)
        finally:
            upstream.close()

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_any  # noqa: N815

    def _answer(self, fault: Fault) -> None:
        left = int(self.headers.get("Content-Length") or 0)
        while left and (data := self.rfile.read(min(left, _BLOCK))):
            left -= len(data)
        assert fault.status is not None
        self.send_response(fault.status)
        for name, value in {"Content-Length": str(len(fault.body)), **fault.headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(fault.body)

    def _forward(self, upstream: http.client.HTTPConnection, fault: Fault) -> bool:
        """Send the request on; False if the connections have been reset."""
        upstream.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
        for name, value in self.headers.items():
            if name.lower() not in _HOP_BY_HOP:
                upstream.putheader(name, value)
        upstream.endheaders()
        left, sent, open_ = int(self.headers.get("Content-Length") or 0), 0, True
        while left:
            size = min(left, _BLOCK)
            end = fault.stall_upload if fault.reset_upload is None else fault.reset_upload
            if end is not None:
                size = min(size, end - sent)
            if size == 0:
                upstream.close()
                self._leave(fault)
                return False
            data = self.rfile.read(size)
            if not data:
                self.close_connection = True
                return False
            self._dawdle(fault, sent, len(data))
            try:
                if open_:
                    upstream.send(data)
            except OSError:  # it has answered before it had everything; the rest is of no interest
                open_ = False
            left, sent = left - len(data), sent + len(data)
        return True

    def _back(self, response: http.client.HTTPResponse, fault: Fault) -> None:
        self.send_response(response.status)
        for name, value in response.getheaders():
            if name.lower() not in (*_HOP_BY_HOP, "date", "server"):
                self.send_header(name, value)
        if response.getheader("Content-Length") is None and self.command != "HEAD" and response.status != 204:
            self.send_header("Connection", "close")
            self.close_connection = True
        self.end_headers()
        length, sent = int(response.getheader("Content-Length") or 0), 0
        while data := response.read(_BLOCK):
            if fault.corrupt and sent + len(data) == length:
                data = data[:-1] + bytes([data[-1] ^ 1])
            end = next((each for each in (fault.reset_download, fault.truncate, fault.stall) if each is not None), None)
            if end is not None and sent + len(data) >= end:
                self._stop(data[: end - sent], fault)
                return
            self._dawdle(fault, sent, len(data))
            self.wfile.write(data)
            sent += len(data)

    def _leave(self, fault: Fault) -> None:
        if fault.reset_upload is None:
            self.close_connection = True
            self.server.owner.stalled.set()
            self.server.owner.closing.wait()
        else:
            self.reset()

    @staticmethod
    def _dawdle(fault: Fault, before: int, size: int) -> None:
        if fault.slow and before >> 20 != (before + size) >> 20:
            time.sleep(fault.slow)

    def _stop(self, data: bytes, fault: Fault) -> None:
        self.wfile.write(data)
        self.wfile.flush()
        self.close_connection = True
        if fault.reset_download is not None:
            self.reset()
        elif fault.stall is not None:
            self.server.owner.stalled.set()
            self.server.owner.closing.wait()
