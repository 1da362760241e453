"""The registries of a command, with every secret that they use known to the redactor."""

from __future__ import annotations

from dataclasses import dataclass

from builder.cli.options import RegistryOptions
from builder.cli.redaction import Redactor
from builder.cli.session import Session
from builder.image.reference import Reference
from builder.registry.client import Registries
from builder.registry.credentials import Credentials
from builder.registry.keychain import DockerKeychain, Keychain


@dataclass(frozen=True, slots=True)
class RedactedKeychain:
    """A Keychain whose secrets are masked from the moment that they are handed out."""

    keychain: Keychain
    redactor: Redactor

    def credentials(self, reference: Reference, /) -> Credentials | None:
        found = self.keychain.credentials(reference)
        if found:
            self.redactor.add_found(found.secrets)
        return found

    def describe(self, reference: Reference, /) -> str:
        return self.keychain.describe(reference)


def registries(options: RegistryOptions, session: Session) -> Registries:
    keychain = RedactedKeychain(DockerKeychain(session.environment), session.redactor)
    return Registries(options.policy, keychain, session.progress, session.environment)
