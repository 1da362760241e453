"""What can go wrong with a registry, as errors that say what to do."""

from __future__ import annotations

from typing import Literal

from builder.errors import BuilderError

Kind = Literal["refused", "dns", "tls", "plain-http", "timeout", "broken", "proxy", "unreachable"]
_TRANSIENT: tuple[Kind, ...] = ("timeout", "broken")


class RegistryError(BuilderError):
    """A registry, its token server or its storage did not do what was asked.

    Attributes:
        host: who answered, or did not.
        request: method and URL, without query and credentials.
        status: HTTP status, None if there was no answer.
        codes: error codes of the body (distribution-spec, "Error Codes"), e.g. ``MANIFEST_UNKNOWN``.
    """

    def __init__(
        self,
        message: str,
        *,
        hint: str | None = None,
        host: str = "",
        request: str = "",
        status: int | None = None,
        codes: tuple[str, ...] = (),
    ) -> None:
        super().__init__(message, hint=hint)
        self.host, self.request, self.status, self.codes = host, request, status, codes


class ConnectionFailed(RegistryError):
    """No answer, or only a part of one.

    Attributes:
        kind: what happened.
        transient: whether it makes sense to try again.
    """

    def __init__(self, message: str, *, kind: Kind, hint: str | None = None, host: str = "", request: str = "") -> None:
        super().__init__(message, hint=hint, host=host, request=request)
        self.kind = kind

    @property
    def transient(self) -> bool:
        return self.kind in _TRANSIENT


class Cancelled(BuilderError):
    """The transfer was given up because the build stops; nobody needs to be told."""

    def __init__(self) -> None:
        super().__init__("the transfer was cancelled")
