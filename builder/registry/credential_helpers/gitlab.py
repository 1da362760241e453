"""``gitlab``: what GitLab gives to each CI job (its "Predefined CI/CD variables reference")."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from builder.registry.credential_helpers.helper import Environment, Lease
from builder.registry.credentials import Credentials
from builder.registry.docker_config import normalised_key

_JOB_USER = "gitlab-ci-token"
_SERVERS = (("CI_REGISTRY", "CI_REGISTRY"), ("CI_DEPENDENCY_PROXY_SERVER", "CI_DEPENDENCY_PROXY"))
"""Variables that name a registry, and how those with its user and password begin."""


@dataclass(frozen=True, slots=True)
class GitlabHelper:
    """The project's registry (``CI_REGISTRY``) and the dependency proxy (``CI_DEPENDENCY_PROXY_SERVER``).

    Their user and password are ``CI_REGISTRY_USER``, ``CI_REGISTRY_PASSWORD`` and ``CI_DEPENDENCY_PROXY_USER``,
    ``CI_DEPENDENCY_PROXY_PASSWORD``, else ``gitlab-ci-token`` with ``CI_JOB_TOKEN``.
    """

    environment: Environment
    name: str = "gitlab"

    def covers(self, registry: str, /) -> bool:
        return any(self.environment.get(variable) for variable, _ in _SERVERS)

    def find(self, registry: str, /) -> Lease | None:
        for prefix in self._prefixes(registry):
            user, password = (self.environment.get(f"{prefix}_{part}", "") for part in ("USER", "PASSWORD"))
            source = f"{prefix}_USER and {prefix}_PASSWORD"
            if not user or not password:
                user, password, source = _JOB_USER, self.environment.get("CI_JOB_TOKEN", ""), "CI_JOB_TOKEN"
            if password:
                return Lease(Credentials(username=user, password=password, source=source))
        return None

    def missing(self, registry: str, /) -> str:
        if prefix := next(self._prefixes(registry), None):
            return f"{prefix}_USER, {prefix}_PASSWORD and CI_JOB_TOKEN are not set"
        named = [f"{name} is {self.environment[name]}" for name, _ in _SERVERS if self.environment.get(name)]
        return f"{' and '.join(named)}, not {registry}"

    def _prefixes(self, registry: str) -> Iterator[str]:
        for variable, prefix in _SERVERS:
            server = self.environment.get(variable, "")
            if server and normalised_key(server).partition("/")[0] == normalised_key(registry):
                yield prefix
