"""Files behind a URL: contexts, Dockerfiles and sources of ADD, by the same certificates and proxies as images."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import TYPE_CHECKING, Protocol
from urllib.parse import unquote, urlsplit, urlunsplit

from builder.context.spec import without_password
from builder.digest import Readable
from builder.errors import BuilderError, ContextError
from builder.registry.network import Network

if TYPE_CHECKING:
    from builder.registry.exchange import Response

_CHUNK = 1 << 20
_ANY_COMPRESSION = 32 + zlib.MAX_WBITS


class Unreachable(BuilderError):
    """There was no answer, or only a part of one; `transient` tells whether another attempt makes sense."""

    def __init__(self, message: str, *, hint: str | None, transient: bool) -> None:
        super().__init__(message, hint=hint)
        self.transient = transient


@contextmanager
def download(url: str, network: Network) -> Iterator[Readable]:
    """The body of `url`, content encodings undone. Raises ContextError."""
    shown = without_password(url)
    with _as_context_error(shown), get(url, network) as response:
        if response.status != 200:
            raise ContextError(f"{shown} answered {status_text(response)}", hint=refusal_hint(response, network))
        yield _decoded(response)


def get(url: str, network: Network) -> Response:
    """Ask for `url`, with its user and password if it has any; redirects are followed. Raises Unreachable."""
    from builder.registry.exchange import Request

    plain, authorization = _split(url)
    # The bytes are wanted as they are: Accept-Encoding would have a server compress what is then not undone.
    headers = {"Accept-Encoding": "identity"} | ({"Authorization": authorization} if authorization else {})
    with reached():
        return network.downloads().send(Request(method="GET", url=plain, headers=headers))


@contextmanager
def reached() -> Iterator[None]:
    """Turn what goes wrong on the way into Unreachable."""
    from builder.registry.errors import ConnectionFailed, RegistryError

    try:
        yield
    except RegistryError as error:
        transient = isinstance(error, ConnectionFailed) and error.transient
        raise Unreachable(error.message, hint=error.hint, transient=transient) from None


class _Answer(Protocol):
    @property
    def status(self) -> int: ...


def status_text(response: _Answer) -> str:
    """``404 Not Found``."""
    try:
        return f"{response.status} {HTTPStatus(response.status).phrase}"
    except ValueError:
        return str(response.status)


def refusal_hint(response: Response, network: Network) -> str | None:
    """What to do about a status, where a proxy may have given it."""
    from builder.registry.explain import PROXY_LOGIN

    proxy = network.proxies.for_url(response.url)
    if response.status == 407:
        return PROXY_LOGIN
    if proxy and response.status == 403 and response.url.startswith("http:"):
        where = without_password(proxy)
        return f"this may be the answer of the proxy {where}, and not of the server (see http_proxy and no_proxy)"
    return None


@contextmanager
def _as_context_error(shown: str) -> Iterator[None]:
    try:
        yield
    except Unreachable as error:
        raise ContextError(f"cannot fetch {shown}: {error.message}", hint=error.hint) from None


def _split(url: str) -> tuple[str, str]:
    """The URL without user, password and fragment, and the header that has the first two (RFC 7617)."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return url, ""
    plain = urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, parts.query, ""))
    if parts.username is None and parts.password is None:
        return plain, ""
    pair = f"{unquote(parts.username or '')}:{unquote(parts.password or '')}"
    return plain, f"Basic {base64.b64encode(pair.encode()).decode()}"


def _decoded(response: Response) -> Readable:
    encoding = response.headers.get("content-encoding", "").lower()
    return _Inflated(response) if encoding in ("gzip", "x-gzip", "deflate") else _Body(response)


class _Body:
    def __init__(self, response: Response) -> None:
        self._response = response

    def read(self, size: int = -1, /) -> bytes:
        with reached():
            if size >= 0:
                return self._response.read(size)
            return b"".join(iter(lambda: self._response.read(_CHUNK), b""))


class _Inflated:
    """A body that a server compresses although it was asked not to."""

    def __init__(self, response: Response) -> None:
        self._body, self._inflater = _Body(response), zlib.decompressobj(_ANY_COMPRESSION)

    def read(self, size: int = -1, /) -> bytes:
        if size < 0:
            return b"".join(iter(lambda: self.read(_CHUNK), b""))
        while not self._inflater.eof and size:
            data = self._inflater.unconsumed_tail or self._body.read(_CHUNK)
            try:
                inflated = self._inflater.decompress(data, size)
            except zlib.error:
                text = "what came is not compressed as the server says"
                raise Unreachable(text, hint=None, transient=False) from None
            if inflated or not data:
                return inflated
        return b""
