"""One HTTP exchange as the layers of the transport see it: a request, who sends it, and the response."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from types import TracebackType
from typing import Protocol, Self
from urllib.parse import urlsplit

from builder.digest import Readable
from builder.image.reference import Reference
from builder.registry.errors import ConnectionFailed, RegistryError
from builder.registry.redaction import shown_url

# seconds for a small body: a manifest, a token, an error
_LONGEST = 300.0


class Body(Protocol):
    """A request's body; `open` gives it from the beginning, for each try."""

    @property
    def size(self) -> int: ...

    def open(self) -> AbstractContextManager[Readable]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """What a request needs to be allowed.

    Attributes:
        repository: decides which credentials are used.
        scopes: of the token, ``repository:<name>:<actions>`` (distribution's token scope documentation).
    """

    repository: Reference
    scopes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A request. Headers are shown nowhere, since Authorization is among them.

    Attributes:
        access: None if it is sent without credentials.
        retry: whether it may be sent again as it is.
        patience: seconds to wait for the response, None for the usual.
    """

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: Body | None = None
    access: Access | None = None
    retry: bool = True
    patience: float | None = None

    def __str__(self) -> str:
        return f"{self.method} {shown_url(self.url)}"

    @property
    def host(self) -> str:
        return host_of(self.url)


class RawBody(Protocol):
    """The bytes of a response as they come; errors are RegistryErrors."""

    def read(self, size: int, /) -> bytes: ...

    def close(self) -> None: ...


class Response:
    """A response whose body has not been read. Close it (or leave its ``with`` block) when done.

    Attributes:
        request: what was asked, after redirects.
        headers: by lower-case name.
        proxy: ``host:port`` of the proxy that it came through and may come from, None for none.
    """

    def __init__(
        self, request: Request, status: int, headers: Mapping[str, str], raw: RawBody, proxy: str | None = None
    ) -> None:
        self.request, self.status, self.headers, self.proxy = request, status, headers, proxy
        self._raw = raw

    @property
    def url(self) -> str:
        return self.request.url

    def read(self, size: int, /) -> bytes:
        """Up to `size` bytes of the body, b"" at its end. Raises ConnectionFailed."""
        return self._raw.read(size)

    def content(self, limit: int) -> bytes:
        """All of the body, then close. Raises RegistryError if it is longer than `limit` bytes."""
        data = self.start(limit + 1)
        if len(data) > limit:
            raise RegistryError(
                f"{self.request.host} answered {self.request} with more than {limit} bytes",
                host=self.request.host,
                request=str(self.request),
                status=self.status,
            )
        return data

    def start(self, limit: int) -> bytes:
        """The first `limit` bytes of the body, then close. Raises ConnectionFailed, also if they come drop by drop."""
        deadline = time.monotonic() + _LONGEST
        with self:
            read, chunks, left = getattr(self._raw, "read1", self._raw.read), [], limit
            while left and (chunk := read(left)):
                chunks.append(chunk)
                left -= len(chunk)
                if time.monotonic() > deadline:
                    text = f"{self.request.host} did not finish its answer in time ({self.request})"
                    raise ConnectionFailed(text, kind="timeout", host=self.request.host, request=str(self.request))
            return self._decoded(b"".join(chunks), limit)

    def _decoded(self, data: bytes, limit: int) -> bytes:
        """Undo what a proxy has done without being asked to (RFC 9110, 8.4.1)."""
        if self.headers.get("content-encoding", "").lower() not in ("gzip", "x-gzip") or not data:
            return data
        import zlib

        try:
            return zlib.decompressobj(wbits=31).decompress(data, limit)
        except zlib.error:
            return data

    def close(self) -> None:
        """Give the connection back if the body was read to its end, else close it."""
        self._raw.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Transport(Protocol):
    """Sends requests. Thread-safe. A status that is an error is a response, not an exception."""

    def send(self, request: Request, /) -> Response: ...


def host_of(url: str) -> str:
    """``host[:port]`` of a URL, without user and password."""
    return urlsplit(url).netloc.rpartition("@")[2].lower()


def same_origin(one: str, other: str) -> bool:
    """True if both URLs have the same scheme, host and port (RFC 6454)."""
    return _origin(one) == _origin(other)


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    scheme = parts.scheme.lower()
    return scheme, parts.hostname, parts.port or {"https": 443, "http": 80}.get(scheme)
