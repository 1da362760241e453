"""Logging in: does a registry take a user and password (distribution-spec, "Determining Support")."""

from __future__ import annotations

import re
from dataclasses import dataclass

from builder.errors import BuilderError, UsageError
from builder.image.reference import DEFAULT_REGISTRY, Reference
from builder.progress import Progress
from builder.registry.connections import Connections
from builder.registry.credentials import Credentials
from builder.registry.docker_config import normalised_key
from builder.registry.errors import RegistryError
from builder.registry.network import Network

_ANY_REPOSITORY = "login"
_SERVER = re.compile(r"(?:[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?|\[[0-9a-f:.]+\])(?::[0-9]+)?(?P<path>/[a-z0-9._/-]+)?")
_REFUSED = (401, 403)


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """What one logs in to.

    Attributes:
        registry: host and optional port; ``index.docker.io`` for Docker Hub.
        path: the repositories that the credentials are for, "" for all of them.
    """

    registry: str
    path: str = ""

    @classmethod
    def parse(cls, text: str) -> Server:
        """``host[:port][/path]``, with or without ``https://`` and ``/v2/``. Raises UsageError."""
        key = normalised_key(text)
        found = _SERVER.fullmatch(key)
        if found is None:
            raise UsageError(f"{text!r} is not a registry", hint="write host, host:port or host/path")
        registry, _, path = key.partition("/")
        return cls(registry=registry, path=path)

    def __str__(self) -> str:
        name = "Docker Hub" if self.registry == DEFAULT_REGISTRY else self.registry
        return f"{name}/{self.path}" if self.path else name


@dataclass(frozen=True, slots=True)
class _Given:
    """A Keychain with the credentials that are to be tried."""

    given: Credentials

    def credentials(self, reference: Reference, /) -> Credentials | None:
        return self.given

    def describe(self, reference: Reference, /) -> str:
        return "the given user and password were used"


def check_login(server: Server, credentials: Credentials, network: Network, progress: Progress) -> None:
    """Ask the registry whether it takes the credentials. Raises BuilderError if it does not, or does not answer."""
    connections = Connections(network.policy, _Given(credentials), progress, network)
    reference = Reference(registry=server.registry, repository=server.path or _ANY_REPOSITORY)
    try:
        endpoint = connections.endpoint(server.registry, "push")
        response = endpoint.ping(reference)
        if response.status != 200:
            raise endpoint.refusal(response, f"log in to {server}", reference, "there is no registry")
        response.start(4096)
    except RegistryError as error:
        if error.status not in _REFUSED:
            raise
        said = error.message.partition(" answered ")[2] or str(error.status)
        hint = "check both; a user with two-factor authentication needs a token in place of the password"
        raise BuilderError(
            f"{server} refuses the user {credentials.username!r} and the password: {said}", hint=hint
        ) from None
    finally:
        connections.stop()
