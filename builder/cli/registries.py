"""The registries of a command, with every secret that they use known to the redactor."""

from __future__ import annotations

from dataclasses import dataclass

from builder.cli.options import RegistryOptions
from builder.cli.redaction import Redactor
from builder.cli.session import Session
from builder.image.reference import Reference
from builder.registry.client import Registries
from builder.registry.credential_helpers.keychain import helper_keychain
from builder.registry.credentials import Credentials
from builder.registry.keychain import DockerKeychain, Keychain, Keychains, Source
from builder.registry.network import Network


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


def registries(
    options: RegistryOptions, session: Session, *, load: bool = False, network: Network | None = None
) -> Registries:
    """The registries, with credentials from Docker's files and then from the helpers.

    Args:
        load: read those files now, as they may be out of the way when they are first needed.
        network: how they are reached, if that is known; made of the options if not.
    """
    network = network or network_of(options, session)
    files = DockerKeychain(session.environment)
    if load:
        files.load()
    sources: list[Source] = [files]
    if options.credential_helpers != ():
        sources.append(helper_keychain(options.credential_helpers, session.environment, network, session.progress))
    keychain = RedactedKeychain(Keychains(*sources), session.redactor)
    return Registries(options.policy, keychain, session.progress, session.environment, network)


def network_of(options: RegistryOptions, session: Session) -> Network:
    """How all hosts are reached; the passwords of proxies are masked from now on."""
    network = Network(options.policy, session.environment, session.progress)
    session.redactor.add_found(network.proxies.secrets)
    return network
