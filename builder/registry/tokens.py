"""Bearer tokens: asking a token server for them, and keeping them while they are valid.

The flow is that of the distribution project, "Token Authentication Specification" and "OAuth2 Token Authentication".
"""

from __future__ import annotations

import json
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from io import BytesIO
from typing import Protocol
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from builder.digest import Readable
from builder.registry.challenge import Challenge
from builder.registry.credentials import Credentials
from builder.registry.errors import ConnectionFailed, RegistryError
from builder.registry.exchange import Access, Request, Response, Transport, host_of
from builder.registry.explain import Attempt, explain
from builder.registry.redaction import Redaction, shown_url

CLIENT_ID = "builder"
_LIMIT = 256 * 1024
_DEFAULT_SECONDS = 60.0  # "expires_in", where the server does not say
_MARGIN = 10.0


class Where(Protocol):
    """Says which credentials are used for a repository, in words."""

    def __call__(self, access: Access, /) -> str: ...


@dataclass(frozen=True, slots=True)
class _Token:
    value: str
    expires: float


class Tokens:
    """The tokens of one registry. Thread-safe: several requests that need the same token wait for one exchange.

    Args:
        transport: how token servers are reached; it adds no credentials of its own.
        allows_http: whether a token server (``host:port``) may be spoken to in plain HTTP.
        insecure: whether the user has said so; only then does a registry that is spoken to by HTTPS lead to it.
        clock: seconds, for the tokens' ages.
        patience: seconds to wait for a token server's answer.
    """

    def __init__(
        self,
        transport: Transport,
        allows_http: Callable[[str], bool],
        insecure: Callable[[str], bool],
        redaction: Redaction,
        where: Where,
        clock: Callable[[], float] = time.monotonic,
        patience: float = 30.0,
    ) -> None:
        self._transport, self._redaction = transport, redaction
        self._allows_http, self._insecure = allows_http, insecure
        self._where, self._clock, self._patience = where, clock, patience
        self._tokens: dict[tuple[object, ...], _Token] = {}
        self._lock = threading.Lock()
        self._locks: defaultdict[tuple[object, ...], threading.Lock] = defaultdict(threading.Lock)

    def token(
        self,
        challenge: Challenge,
        access: Access,
        credentials: Credentials | None,
        refused: str = "",
        *,
        secure: bool = True,
    ) -> str:
        """A token for `access` that is still valid, and is not the one that was `refused`.

        `secure` says that the registry itself is spoken to by HTTPS.

        Raises RegistryError if the token server gives none, or may not be trusted with the credentials.
        """
        scopes = _scopes(challenge, access)
        realm, service = challenge.parameters.get("realm", ""), challenge.parameters.get("service", "")
        key = (realm, service, scopes, credentials)
        with self._lock:
            lock = self._locks[key]
        with lock:
            known = self._tokens.get(key)
            if known and known.value != refused and self._clock() < known.expires:
                return known.value
            self._check(realm, access, secure=secure)
            asked = self._clock()
            response = self._send(_request(realm, service, scopes, credentials), access)
            token = self._read(response, access, asked)
            self._tokens[key] = token
            return token.value

    def _send(self, request: Request, access: Access) -> Response:
        """A failure here is final: the tries that the token server gets are used up when it is told."""
        try:
            return self._transport.send(replace(request, patience=self._patience))
        except ConnectionFailed as error:
            message = f"no token for {access.repository.name}: {error.message}"
            raise RegistryError(message, hint=error.hint, host=error.host, request=error.request) from error

    def _check(self, realm: str, access: Access, *, secure: bool) -> None:
        """Credentials go to a token server over HTTPS, or over plain HTTP only where that is allowed with it."""
        try:
            parts = urlsplit(realm)
            valid = parts.scheme in ("https", "http") and parts.hostname
        except ValueError:
            valid = False
        if not valid:
            raise RegistryError(f"{access.repository.registry} names a token server that is no URL")
        allowed = self._insecure if secure else self._allows_http
        if parts.scheme == "http" and not allowed(host_of(realm)):
            host = host_of(realm)
            raise RegistryError(
                f"{access.repository.registry} names a token server that speaks plain HTTP: {shown_url(realm)}",
                hint=f"if that is right, add --insecure-registry {host}",
                host=host,
            )

    def _read(self, response: Response, access: Access, asked: float) -> _Token:
        if not 200 <= response.status < 300:
            attempt = Attempt(
                what=f"get a token for {access.repository.name}",
                credentials=lambda: self._where(access),
                missing="the registry names a token server that is not there",
            )
            raise explain(response, attempt, self._redaction)
        try:
            document = json.loads(response.content(_LIMIT))
            value = document.get("token") or document.get("access_token")
            lasts = float(document.get("expires_in") or _DEFAULT_SECONDS)
        except (AttributeError, TypeError, ValueError, RecursionError):
            value, lasts = None, 0.0
        if not isinstance(value, str) or not value or not value.isascii() or not value.isprintable():
            host = response.request.host
            raise RegistryError(f"the token server {host} answered without a token ({response.request})", host=host)
        self._redaction.hide(value)
        return _Token(value, asked + lasts - min(_MARGIN, lasts / 4))


def _scopes(challenge: Challenge, access: Access) -> tuple[str, ...]:
    """What the request needs; what the challenge asks for only where the request does not know."""
    return access.scopes or tuple(challenge.parameters.get("scope", "").split())


def _request(realm: str, service: str, scopes: tuple[str, ...], credentials: Credentials | None) -> Request:
    if credentials and credentials.identity_token:
        return _refresh(realm, service, scopes, credentials.identity_token)
    query = [("service", service)] if service else []
    query += [("scope", scope) for scope in scopes]
    headers = {}
    if credentials and credentials.basic:
        query += [("account", credentials.username), ("client_id", CLIENT_ID)]
        headers["Authorization"] = credentials.basic
    parts = urlsplit(realm)
    query = parse_qsl(parts.query, keep_blank_values=True) + query
    url = urlunsplit((parts.scheme, parts.netloc, parts.path or "/", urlencode(query), ""))
    return Request(method="GET", url=url, headers=headers)


def _refresh(realm: str, service: str, scopes: tuple[str, ...], identity_token: str) -> Request:
    form = {
        "grant_type": "refresh_token",
        "service": service,
        "client_id": CLIENT_ID,
        "scope": " ".join(scopes),
        "refresh_token": identity_token,
    }
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    body = BytesBody(urlencode(form).encode())
    return Request(method="POST", url=realm, headers=headers, body=body)


@dataclass(frozen=True, slots=True)
class BytesBody:
    """A request's body in memory."""

    data: bytes

    @property
    def size(self) -> int:
        return len(self.data)

    def open(self) -> AbstractContextManager[Readable]:
        return _reading(self.data)


@contextmanager
def _reading(data: bytes) -> Iterator[Readable]:
    yield BytesIO(data)
