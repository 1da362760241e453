"""HTTP over connections that are kept open: one exchange, no redirects, no credentials, no retries.

This is the only module that knows the HTTP library; it is imported when the first request is made.
"""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import requests
import urllib3
from requests.adapters import HTTPAdapter

from builder import __version__
from builder.digest import Readable
from builder.errors import BuilderError
from builder.progress import Progress, log
from builder.registry.certificate_errors import Complaint, complaint
from builder.registry.connection_errors import connection_failed
from builder.registry.errors import RegistryError
from builder.registry.exchange import Request, Response, host_of
from builder.registry.policy import Direction, RegistryPolicy
from builder.registry.proxies import Proxies
from builder.registry.sockets import Sockets
from builder.registry.tls import TlsContexts
from builder.registry.watched_pools import pool_classes

# A timeout covers the sending of one block: half a MiB is quick, and gets through a slow line in time.
_BLOCK = 512 * 1024
_CONNECTIONS = 16
_FAILURES = (requests.RequestException, urllib3.exceptions.HTTPError, OSError)


class HttpTransport:
    """A Transport with a pool of connections for each host. Thread-safe."""

    def __init__(
        self,
        policy: RegistryPolicy,
        direction: Direction,
        tls: TlsContexts,
        proxies: Proxies,
        progress: Progress,
        sockets: Sockets | None = None,
    ) -> None:
        self._policy, self._direction, self._tls = policy, direction, tls
        self._pools = pool_classes(sockets or Sockets())
        self._proxies, self._progress = proxies, progress
        self._adapters: dict[str, HTTPAdapter] = {}
        self._lock = threading.Lock()

    def send(self, request: Request, /) -> Response:
        """Raises ConnectionFailed, RegistryError (a URL or certificate file that cannot be used), and what the body's
        source raises.
        """
        started = time.monotonic()
        proxy = self._proxies.for_url(request.url)
        with self._explained(request, proxy), _opened(request) as body:
            answer = self._exchange(request, body, proxy)
        milliseconds = (time.monotonic() - started) * 1000
        log(self._progress, "debug", f"{request}: {answer.status_code} ({milliseconds:.0f} ms)")
        headers = {name.lower(): value for name, value in answer.headers.items()}
        raw = _Raw(answer.raw, lambda: self._explained(request, proxy))
        # what goes through a tunnel comes from the other end
        asked = host_of(proxy) if proxy and request.url.startswith("http:") else None
        return Response(request, answer.status_code, headers, raw, asked)

    @contextmanager
    def _explained(self, request: Request, proxy: str | None) -> Iterator[None]:
        def complain(error: ssl.SSLCertVerificationError) -> Complaint:
            return complaint(request.host, proxy, error, self._tls.unreadable())

        try:
            yield
        except BuilderError:
            raise
        except (requests.exceptions.InvalidURL, requests.exceptions.InvalidSchema, ValueError):
            where = "the proxy's URL" if proxy else f"the URL of {request.host}"
            raise RegistryError(
                f"{where} cannot be used ({request})", host=request.host, request=str(request)
            ) from None
        except _FAILURES as error:
            raise connection_failed(error, request, host_of(proxy) if proxy else None, complain) from None

    def close(self) -> None:
        """Close all connections that are not in use."""
        with self._lock:
            adapters, self._adapters = list(self._adapters.values()), {}
        for adapter in adapters:
            adapter.close()

    def _exchange(self, request: Request, body: Readable | bytes | None, proxy: str | None) -> requests.Response:
        headers = {"User-Agent": f"builder/{__version__}", **request.headers}
        if request.body is not None:
            headers["Content-Length"] = str(request.body.size)
        prepared = requests.Request(request.method, request.url, headers=headers).prepare()
        prepared.url = request.url  # as it came: the library's re-quoting would break a signature in it
        if request.body is None and request.method in ("POST", "PUT", "PATCH"):
            prepared.headers["Content-Length"] = "0"
        prepared.body = body  # type: ignore[assignment]  # anything with read() will do
        host = host_of(request.url)
        return self._adapter(host).send(
            prepared,
            stream=True,
            timeout=(self._policy.connect_timeout, request.patience or self._policy.read_timeout),
            verify=self._policy.verifies(host, self._direction),
            proxies={"http": proxy, "https": proxy} if proxy else None,
        )

    def _adapter(self, host: str) -> HTTPAdapter:
        with self._lock:
            if host not in self._adapters:
                self._adapters[host] = _Adapter(
                    lambda: self._tls.context(host, self._direction),
                    lambda proxy: self._tls.context(host_of(proxy), "download"),
                    self._pools,
                )
            return self._adapters[host]


class _Adapter(HTTPAdapter):
    """The library's pools with our TLS context in place of its own certificates, and with larger blocks."""

    def __init__(
        self, context: Callable[[], Any], proxy_context: Callable[[str], Any], pools: Mapping[str, Any]
    ) -> None:
        urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
        self._context, self._proxy_context, self._pools = context, proxy_context, pools
        super().__init__(pool_connections=2, pool_maxsize=_CONNECTIONS, max_retries=0)

    def init_poolmanager(self, connections: int, maxsize: int, block: bool = False, **options: Any) -> None:
        super().init_poolmanager(connections, maxsize, block, blocksize=_BLOCK, **options)
        self.poolmanager.pool_classes_by_scheme = self._pools

    def proxy_manager_for(self, proxy: str, **options: Any) -> Any:
        if proxy.startswith("https:"):
            options["proxy_ssl_context"] = self._proxy_context(proxy)
        manager = super().proxy_manager_for(proxy, blocksize=_BLOCK, **options)
        manager.pool_classes_by_scheme = self._pools
        return manager

    def build_connection_pool_key_attributes(
        self, request: requests.PreparedRequest, verify: Any, cert: Any = None
    ) -> Any:
        where, options = super().build_connection_pool_key_attributes(request, verify, cert)
        if where["scheme"] == "https":
            options["ssl_context"] = self._context()
        return where, options

    def cert_verify(self, conn: Any, url: Any, verify: Any, cert: Any) -> None:
        """Nothing: the context knows the certificates, and the library would add its own bundle."""


class _Raw:
    """The body of a response, read straight from the connection, undecoded."""

    def __init__(self, raw: Any, explained: Callable[[], AbstractContextManager[None]]) -> None:
        self._raw, self._explained = raw, explained

    def read(self, size: int, /) -> bytes:
        with self._explained():
            data: bytes = self._raw.read(size, decode_content=False)
            return data

    def read1(self, size: int, /) -> bytes:
        """What is there, at most `size` bytes; waits only where nothing is."""
        with self._explained():
            reader = getattr(self._raw, "read1", None)  # older versions of the library have only the other one
            data: bytes = (reader or self._raw.read)(size, decode_content=False)
            return data

    def close(self) -> None:
        if self._raw.length_remaining == 0:  # nothing is left to read (or never was: HEAD), so the connection is good
            self._raw.release_conn()
        self._raw.close()


@contextmanager
def _opened(request: Request) -> Iterator[Readable | bytes | None]:
    """The body to send; an empty one is plain bytes, since the library would send no length with it."""
    if request.body is None:
        yield None
    elif request.body.size == 0:
        yield b""
    else:
        with request.body.open() as stream:
            yield stream
