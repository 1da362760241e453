"""Following redirects, a bounded number of them, without taking credentials along to another host."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from urllib.parse import urljoin, urlsplit

from builder.registry.errors import RegistryError
from builder.registry.exchange import Request, Response, Transport, same_origin
from builder.registry.redaction import shown_url

_REDIRECTS = (301, 302, 303, 307, 308)
_SAME_METHOD = (307, 308)
_MOST = 10
_CREDENTIALS = ("authorization", "cookie")


class FollowingRedirects:
    """A Transport that follows the redirects of GET and HEAD, and of any method within the same host (307, 308).

    Others get the response as it is: what they carry is meant for the host that was asked.

    Args:
        allows_http: whether a ``host:port`` may be spoken to in plain HTTP, so that HTTPS may lead there.
    """

    def __init__(self, inner: Transport, allows_http: Callable[[str], bool]) -> None:
        self._inner, self._allows_http = inner, allows_http

    def send(self, request: Request, /) -> Response:
        """Raises RegistryError for a redirect that leads in a circle, nowhere, or from HTTPS to plain HTTP."""
        first = request
        for _ in range(_MOST):
            response = self._inner.send(request)
            location = response.headers.get("location")
            if response.status not in _REDIRECTS or not location:
                return response
            reading = request.method in ("GET", "HEAD")
            if not reading and response.status not in _SAME_METHOD:
                return response
            following = self._next(request, location)
            if not reading and not same_origin(following.url, request.url):
                return response
            response.start(4096)  # a short body read to its end lets the connection be used again
            request = following
        raise _refused(first, f"redirects more than {_MOST} times")

    def _next(self, request: Request, location: str) -> Request:
        try:
            url = urljoin(request.url, location)
            scheme, host = urlsplit(url).scheme, urlsplit(url).netloc.rpartition("@")[2]
        except ValueError:
            raise _refused(request, "redirects to a URL that is not valid") from None
        if scheme not in ("http", "https") or not host:
            raise _refused(request, "redirects to a URL that is not HTTP")
        if scheme == "http" and request.url.startswith("https:") and not self._allows_http(host):
            raise _refused(request, f"redirects from HTTPS to plain HTTP ({shown_url(url)})")
        if same_origin(url, request.url):
            return replace(request, url=url)
        headers = {name: value for name, value in request.headers.items() if name.lower() not in _CREDENTIALS}
        return replace(request, url=url, headers=headers)


def _refused(request: Request, why: str) -> RegistryError:
    return RegistryError(f"{request.host} {why} ({request})", host=request.host, request=str(request))
