"""The helpers of ``--credential-helpers`` as one Keychain."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from builder.errors import BuilderError
from builder.image.reference import Reference
from builder.progress import Level, Progress, log
from builder.registry.credential_helpers.helper import CredentialHelper, Lease, Unavailable
from builder.registry.credentials import Credentials
from builder.registry.docker_config import normalised_key
from builder.registry.keychain import described
from builder.registry.network import Network

NAMES = ("env", "gitlab", "google", "ecr", "acr")
"""What ``--credential-helpers`` takes, in the order in which they are asked."""

_FAILURE_KEPT = 60.0


@dataclass(frozen=True, slots=True)
class _Known:
    lease: Lease | None
    until: float
    failure: str = ""


class HelperKeychain:
    """Asks each helper that covers a registry until one has credentials. Thread-safe.

    A helper that fails does not end the build, since the registry may need no credentials; the failure is a warning,
    and part of `places`.

    Args:
        make: makes the helpers, for the first question.
    """

    def __init__(
        self,
        make: Callable[[], Sequence[CredentialHelper]],
        progress: Progress,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._make, self._progress, self._clock = make, progress, clock
        self._helpers: Sequence[CredentialHelper] | None = None
        self._known: dict[tuple[str, str], _Known] = {}
        self._lock = threading.Lock()

    def credentials(self, reference: Reference, /) -> Credentials | None:
        registry = normalised_key(reference.registry)
        with self._lock:
            for helper in self._covering(registry):
                if lease := self._ask(helper, registry).lease:
                    return lease.credentials
        return None

    def places(self, reference: Reference, /) -> Sequence[str]:
        registry = normalised_key(reference.registry)
        with self._lock:
            return [self._place(helper, registry) for helper in self._covering(registry)]

    def describe(self, reference: Reference, /) -> str:
        return described(self, reference)

    def _covering(self, registry: str) -> list[CredentialHelper]:
        if self._helpers is None:
            self._helpers = self._make()
        return [helper for helper in self._helpers if helper.covers(registry)]

    def _place(self, helper: CredentialHelper, registry: str) -> str:
        return f"the helper {helper.name} ({self._ask(helper, registry).failure or helper.missing(registry)})"

    def _ask(self, helper: CredentialHelper, registry: str) -> _Known:
        known = self._known.get((helper.name, registry))
        if known is None or self._clock() >= known.until:
            known = self._known[helper.name, registry] = self._asked(helper, registry)
        return known

    def _asked(self, helper: CredentialHelper, registry: str) -> _Known:
        try:
            lease = helper.find(registry)
        except BuilderError as error:
            # a machine outside of the cloud may well use the cloud's public images
            level: Level = "debug" if isinstance(error, Unavailable) else "warning"
            log(self._progress, level, f"credentials for {registry} by the helper {helper.name}: {error.message}")
            return _Known(None, self._clock() + _FAILURE_KEPT, error.message)
        return _Known(lease, self._clock() + (lease.seconds if lease else _FAILURE_KEPT))


def helper_keychain(
    names: Sequence[str] | None, environment: Mapping[str, str], network: Network, progress: Progress
) -> HelperKeychain:
    """The keychain of the helpers that are named, None for all of them."""
    return HelperKeychain(lambda: _helpers(NAMES if names is None else names, environment, network), progress)


def _helpers(names: Sequence[str], environment: Mapping[str, str], network: Network) -> Sequence[CredentialHelper]:
    from builder.registry.credential_helpers.acr import AcrHelper
    from builder.registry.credential_helpers.api import NetworkServices
    from builder.registry.credential_helpers.ecr import EcrHelper
    from builder.registry.credential_helpers.env import EnvHelper
    from builder.registry.credential_helpers.gitlab import GitlabHelper
    from builder.registry.credential_helpers.google import GoogleHelper

    services = NetworkServices(network)
    made: Mapping[str, Callable[[], CredentialHelper]] = {
        "env": lambda: EnvHelper(environment),
        "gitlab": lambda: GitlabHelper(environment),
        "google": lambda: GoogleHelper(environment, services),
        "ecr": lambda: EcrHelper(environment, services),
        "acr": lambda: AcrHelper(environment, services),
    }
    return [made[name]() for name in names]
