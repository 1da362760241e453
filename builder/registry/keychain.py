"""Whose credentials go to which registry, and where they are looked for."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from builder.image.reference import DEFAULT_REGISTRY, Reference
from builder.registry.credential_helper import ask_helper
from builder.registry.credentials import Credentials
from builder.registry.docker_config import DockerConfig, load_config, parse_config

_KANIKO = "/kaniko/.docker"
_DOCKER_HUB_SERVER = "https://index.docker.io/v1/"


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


class DockerKeychain:
    """The credentials of ``DOCKER_AUTH_CONFIG``, then of ``config.json``.

    The file is that of ``DOCKER_CONFIG``, else of ``~/.docker``, else of ``/kaniko/.docker``. In each, the helper named
    for the registry (``credHelpers``) goes first, then ``auths`` with the longest path that covers the repository, then
    ``credsStore``. Nothing is read before the first question, and then once.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment
        self._lock = threading.Lock()
        self._configs: list[DockerConfig] | None = None
        self._places: list[str] = []
        self._asked: dict[tuple[str, str], Credentials | None] = {}

    def credentials(self, reference: Reference, /) -> Credentials | None:
        with self._lock:
            for config in self._load():
                if found := self._find(config, reference):
                    return found
        return None

    def describe(self, reference: Reference, /) -> str:
        found = self.credentials(reference)
        if found:
            return f"the credentials in {found.source} were used"
        return (
            f"no credentials for {reference.registry} were found in {', '.join(self._places)}; "
            f"log in with `builder login {reference.registry}`"
        )

    def _load(self) -> list[DockerConfig]:
        if self._configs is None:
            places, configs = [], []
            for place, config in (_from_variable(self._environment), _from_file(_candidates(self._environment))):
                places.append(place)
                configs += [config] if config else []
            self._places, self._configs = places, configs
        return self._configs

    def _find(self, config: DockerConfig, reference: Reference) -> Credentials | None:
        named = config.helper(reference.registry)
        if named and (found := self._ask(named, reference.registry)):
            return found
        if found := config.credentials(reference):
            return found
        return self._ask(config.store, reference.registry) if config.store else None

    def _ask(self, helper: str, registry: str) -> Credentials | None:
        if (helper, registry) not in self._asked:
            server = _DOCKER_HUB_SERVER if registry == DEFAULT_REGISTRY else registry
            self._asked[helper, registry] = ask_helper(helper, server, self._environment)
        return self._asked[helper, registry]


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
    home = Path(environment.get("HOME") or Path.home())
    return [home / ".docker" / "config.json", Path(_KANIKO) / "config.json"]
