"""Adding the credentials that a registry asks for: Basic, or a bearer token."""

from __future__ import annotations

from dataclasses import replace

from builder.registry.challenge import Challenge, parse_challenges
from builder.registry.credentials import Credentials
from builder.registry.exchange import Access, Request, Response, Transport, same_origin
from builder.registry.keychain import Keychain
from builder.registry.redaction import Redaction
from builder.registry.tokens import Tokens

_BASIC = Challenge("basic")


class Authorizing:
    """A Transport for one registry, which answers its challenges and remembers how it wants to be asked.

    A 401 in the middle (a token that has expired, or was revoked) is answered once with fresh credentials, and once
    more where the registry asks for a scope that the request did not know of (one that stands for another registry may
    use other names); the next one is the caller's to explain. Requests without `access` go through as they are.
    """

    def __init__(self, inner: Transport, keychain: Keychain, tokens: Tokens, redaction: Redaction) -> None:
        self._inner, self._keychain, self._tokens, self._redaction = inner, keychain, tokens, redaction
        self._challenge: Challenge | None = None
        self._widened: dict[tuple[str, ...], Access] = {}

    def send(self, request: Request, /) -> Response:
        """Raises RegistryError if the token server refuses, BuilderError if the keychain cannot be read."""
        if request.access is None:
            return self._inner.send(request)
        request = replace(request, access=self._widened.get(request.access.scopes, request.access))
        used = self._authorization(request, "") if self._challenge else ""
        response = self._send(request, used)
        challenge = self._asks(request, response)
        if challenge is None:
            return response
        self._challenge = challenge
        fresh = self._authorization(request, used)
        if not fresh or fresh == used:
            return response
        response.start(4096)
        return self._wider(request, self._send(request, fresh), fresh)

    def _wider(self, request: Request, response: Response, refused: str) -> Response:
        """The response to a request whose token has what the registry asks for, if that is something new."""
        challenge, access = self._asks(request, response), request.access
        if challenge is None or access is None or challenge.scheme != "bearer":
            return response
        more = [scope for scope in challenge.parameters.get("scope", "").split() if not _covers(access.scopes, scope)]
        if not more:
            return response
        self._widened[access.scopes] = replace(access, scopes=(*access.scopes, *more))
        request = replace(request, access=self._widened[access.scopes])
        response.start(4096)
        return self._send(request, self._authorization(request, refused))

    def _asks(self, request: Request, response: Response) -> Challenge | None:
        """What a registry that refuses wants to see; another host, where a redirect has led, gets nothing.

        One that does not say (a proxy before it may have taken that away) gets user and password.
        """
        if response.status != 401 or not same_origin(response.url, request.url):
            return None
        header = response.headers.get("www-authenticate", "").strip()
        return _strongest(parse_challenges(header)) if header else self._challenge or _BASIC

    def _send(self, request: Request, authorization: str) -> Response:
        if authorization:
            request = replace(request, headers={**request.headers, "Authorization": authorization})
        return self._inner.send(request)

    def _authorization(self, request: Request, refused: str) -> str:
        """The header's value, "" if there is nothing to send."""
        assert request.access
        access, challenge = request.access, self._challenge
        credentials = self._credentials(access)
        if credentials and credentials.registry_token:
            return f"Bearer {credentials.registry_token}"
        if challenge is None or challenge.scheme == "basic":
            return credentials.basic if credentials else ""
        secure, known = request.url.startswith("https:"), refused.removeprefix("Bearer ")
        return f"Bearer {self._tokens.token(challenge, access, credentials, known, secure=secure)}"

    def _credentials(self, access: Access) -> Credentials | None:
        credentials = self._keychain.credentials(access.repository)
        if credentials:
            self._redaction.hide(*credentials.secrets)
        return credentials


def _covers(scopes: tuple[str, ...], wanted: str) -> bool:
    """True if one of the scopes allows all that `wanted` does."""
    what, _, actions = wanted.rpartition(":")
    held = [scope.rpartition(":") for scope in scopes]
    return any(each == what and {*actions.split(",")} <= {*allowed.split(",")} for each, _, allowed in held)


def _strongest(challenges: list[Challenge]) -> Challenge | None:
    """The bearer challenge, else the basic one."""
    for scheme in ("bearer", "basic"):
        for challenge in challenges:
            if challenge.scheme == scheme:
                return challenge
    return None
