"""The boundary of the package: what a helper is asked, and what it answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from builder.errors import BuilderError
from builder.registry.credentials import Credentials

FOREVER = float("inf")


@dataclass(frozen=True, slots=True)
class Lease:
    """Credentials, and how many seconds they may be kept before they are asked for again."""

    credentials: Credentials
    seconds: float = FOREVER


class Unavailable(BuilderError):
    """A metadata service that does not answer: this machine is not in that cloud, or has no role there."""


class CredentialHelper(Protocol):
    """One way to find credentials for a registry.

    Attributes:
        name: as ``--credential-helpers`` has it.
    """

    @property
    def name(self) -> str: ...

    def covers(self, registry: str, /) -> bool:
        """Whether this helper can know anything about ``host[:port]``. Costs nothing."""
        ...

    def find(self, registry: str, /) -> Lease | None:
        """Credentials for ``host[:port]``, None if there are none. Raises BuilderError, which holds no secret."""
        ...

    def missing(self, registry: str, /) -> str:
        """What would have to be there for `find` to find something; for messages."""
        ...


Environment = Mapping[str, str]
