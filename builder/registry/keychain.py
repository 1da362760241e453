"""Whose credentials go to which registry, and where they are looked for."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from builder.image.reference import DEFAULT_REGISTRY, Reference
from builder.registry.credential_helper import ask_helper
from builder.registry.credentials import Credentials
from builder.registry.docker_config import DockerConfig, load_config, normalised_key, parse_config

_KANIKO = "/kaniko/.docker"
_DOCKER_HUB_SERVER = "https://index.docker.io/v1/"
_KEPT = 600.0
"""Seconds before a helper is asked again."""


class Keychain(Protocol):
    """Where credentials come from. Thread-safe."""

    def credentials(self, reference: Reference, /) -> Credentials | None:
        """What to use for a repository, None to be anonymous. Raises BuilderError if a source is damaged."""
        ...

    def describe(self, reference: Reference, /) -> str:
        """For messages: where the credentials used came from, or where none were found. Holds no secret."""
        ...


class Anonymous:
    """A Keychain without credentials."""

    def credentials(self, reference: Reference, /) -> Credentials | None:
        return None

    def describe(self, reference: Reference, /) -> str:
        return f"no credentials were looked for for {reference.registry}"


class Source(Keychain, Protocol):
    """A Keychain that knows where it has looked."""

    def places(self, reference: Reference, /) -> Sequence[str]:
        """For messages: where there was nothing for this repository."""
        ...


class Keychains:
    """Several sources; the first that has something for a repository is used."""

    def __init__(self, *sources: Source) -> None:
        self._sources = sources

    def credentials(self, reference: Reference, /) -> Credentials | None:
        for source in self._sources:
            if found := source.credentials(reference):
                return found
        return None

    def places(self, reference: Reference, /) -> Sequence[str]:
        return [place for source in self._sources for place in source.places(reference)]

    def describe(self, reference: Reference, /) -> str:
        return described(self, reference)


def described(source: Source, reference: Reference) -> str:
    """What `Keychain.describe` says of a source."""
    found = source.credentials(reference)
    if found:
        return f"the credentials in {found.source} were used"
    server = reference.registry.removesuffix(":443")
    return (
        f"no credentials for {server} were found in {', '.join(source.places(reference))}; "
        f"log in with `builder login {server}`"
    )


class DockerKeychain:
    """The credentials of ``DOCKER_AUTH_CONFIG``, then of ``config.json``.

    The file is that of ``DOCKER_CONFIG``, else of ``~/.docker``, else of ``/kaniko/.docker``. In each, the longest path
    that covers the repository wins; for the registry as a whole the helper named for it (``credHelpers``) goes first,
    then ``auths``, then ``credsStore``. Nothing is read before the first question, and then once; helpers are asked
    again after some minutes, since tokens get old.
    """

    def __init__(self, environment: Mapping[str, str], clock: Callable[[], float] = time.monotonic) -> None:
        self._environment, self._clock = environment, clock
        self._lock = threading.Lock()
        self._configs: list[DockerConfig] | None = None
        self._places: list[str] = []
        self._asked: dict[tuple[str, str], tuple[Credentials | None, float]] = {}

    def credentials(self, reference: Reference, /) -> Credentials | None:
        with self._lock:
            for config in self._load():
                if found := self._find(config, reference):
                    return found
        return None

    def places(self, reference: Reference, /) -> Sequence[str]:
        with self._lock:
            self._load()
            return self._places

    def describe(self, reference: Reference, /) -> str:
        return described(self, reference)

    def load(self) -> None:
        """Read the file now: it may be out of the way later. Raises BuilderError if it is damaged."""
        with self._lock:
            self._load()

    def _load(self) -> list[DockerConfig]:
        if self._configs is None:
            places, configs = [], []
            for place, config in (_from_variable(self._environment), _from_file(_candidates(self._environment))):
                places.append(place)
                configs += [config] if config else []
            self._places, self._configs = places, configs
        return self._configs

    def _find(self, config: DockerConfig, reference: Reference) -> Credentials | None:
        if found := config.credentials(reference, paths=True):
            return found
        named = config.helper(reference.registry)
        if named and (found := self._ask(named, reference.registry)):
            return found
        if found := config.credentials(reference, paths=False):
            return found
        return self._ask(config.store, reference.registry) if config.store else None

    def _ask(self, helper: str, registry: str) -> Credentials | None:
        known, until = self._asked.get((helper, registry), (None, 0.0))
        if self._clock() >= until:
            known = ask_helper(helper, server_of(registry), self._environment)
            self._asked[helper, registry] = known, self._clock() + _KEPT
        return known


def server_of(registry: str) -> str:
    """What helpers and ``auths`` call a registry: Docker Hub has a name of its own."""
    key = normalised_key(registry)
    return _DOCKER_HUB_SERVER if key == DEFAULT_REGISTRY else key


def variable_keychain(environment: Mapping[str, str]) -> DockerKeychain:
    """The credentials of ``DOCKER_AUTH_CONFIG`` alone."""
    own = {name: environment[name] for name in ("DOCKER_AUTH_CONFIG", "PATH") if name in environment}
    return DockerKeychain(own | {"DOCKER_CONFIG": "/nonexistent"})


def config_directory(environment: Mapping[str, str]) -> Path:
    """Where `builder login` writes its ``config.json``: the first of the places that are read."""
    return _candidates(environment)[0].parent


def _from_variable(environment: Mapping[str, str]) -> tuple[str, DockerConfig | None]:
    text = environment.get("DOCKER_AUTH_CONFIG", "").strip()
    if not text:
        return "DOCKER_AUTH_CONFIG (not set)", None
    return "DOCKER_AUTH_CONFIG", parse_config(text, "DOCKER_AUTH_CONFIG")


def _from_file(candidates: Sequence[Path]) -> tuple[str, DockerConfig | None]:
    for path in candidates:
        if config := load_config(path):
            return str(path), config
    return f"{' or '.join(map(str, candidates))} (no such file)", None


def _candidates(environment: Mapping[str, str]) -> list[Path]:
    if environment.get("DOCKER_CONFIG"):
        return [Path(environment["DOCKER_CONFIG"]) / "config.json"]
    home = Path(environment.get("HOME") or os.path.expanduser("~"))  # which stays as it is for a user without a name
    return [home / ".docker" / "config.json", Path(_KANIKO) / "config.json"]
