"""What proves to a registry who one is."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """A user and password, or a token in their place. `repr` shows no secret.

    Attributes:
        identity_token: an OAuth2 refresh token, to be exchanged for a registry's own.
        registry_token: a bearer token that is sent as it is.
        source: where they were found, for messages.
    """

    username: str = field(default="", repr=False)
    password: str = field(default="", repr=False)
    identity_token: str = field(default="", repr=False)
    registry_token: str = field(default="", repr=False)
    source: str = ""

    @property
    def basic(self) -> str:
        """The Authorization header of the Basic scheme (RFC 7617), "" without user and password."""
        if not self.username and not self.password:
            return ""
        pair = f"{self.username}:{self.password}".encode()
        return f"Basic {base64.b64encode(pair).decode()}"

    @property
    def secrets(self) -> tuple[str, ...]:
        """Everything that must not be shown."""
        encoded = self.basic.removeprefix("Basic ")
        return tuple(each for each in (self.password, self.identity_token, self.registry_token, encoded) if each)
