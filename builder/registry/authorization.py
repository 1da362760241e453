"""Adding the credentials that a registry asks for: Basic, or a bearer token."""

from __future__ import annotations

from dataclasses import replace

from builder.registry.challenge import Challenge, parse_challenges
from builder.registry.credentials import Credentials
from builder.registry.exchange import Access, Request, Response, Transport, same_origin
from builder.registry.keychain import Keychain
from builder.registry.redaction import Redaction
from builder.registry.tokens import Tokens


class Authorizing:
    """A Transport for one registry, which answers its challenges and remembers how it wants to be asked.

    A 401 in the middle (a token that has expired, or was revoked) is answered once with fresh credentials; a second
    one is the caller's to explain. Requests without `access` go through as they are.
    """

    def __init__(self, inner: Transport, keychain: Keychain, tokens: Tokens, redaction: Redaction) -> None:
        self._inner, self._keychain, self._tokens, self._redaction = inner, keychain, tokens, redaction
        self._challenge: Challenge | None = None

    def send(self, request: Request, /) -> Response:
        """Raises RegistryError if the token server refuses, BuilderError if the keychain cannot be read."""
        if request.access is None:
            return self._inner.send(request)
        used = self._authorization(request.access, "") if self._challenge else ""
        response = self._send(request, used)
        if response.status != 401 or not same_origin(response.url, request.url):
            return response
        challenge = _strongest(parse_challenges(response.headers.get("www-authenticate", "")))
        if challenge is None:
            return response
        self._challenge = challenge
        fresh = self._authorization(request.access, used)
        if not fresh or fresh == used:
            return response
        response.start(4096)
        return self._send(request, fresh)

    def _send(self, request: Request, authorization: str) -> Response:
        if authorization:
            request = replace(request, headers={**request.headers, "Authorization": authorization})
        return self._inner.send(request)

    def _authorization(self, access: Access, refused: str) -> str:
        """The header's value, "" if there is nothing to send."""
        credentials, challenge = self._credentials(access), self._challenge
        if credentials and credentials.registry_token:
            return f"Bearer {credentials.registry_token}"
        if challenge is None or challenge.scheme == "basic":
            return credentials.basic if credentials else ""
        return f"Bearer {self._tokens.token(challenge, access, credentials, refused.removeprefix('Bearer '))}"

    def _credentials(self, access: Access) -> Credentials | None:
        credentials = self._keychain.credentials(access.repository)
        if credentials:
            self._redaction.hide(*credentials.secrets)
        return credentials


def _strongest(challenges: list[Challenge]) -> Challenge | None:
    """The bearer challenge, else the basic one."""
    for scheme in ("bearer", "basic"):
        for challenge in challenges:
            if challenge.scheme == scheme:
                return challenge
    return None
