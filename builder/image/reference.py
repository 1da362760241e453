"""Image references (distribution's reference grammar, with Docker's normalisation of familiar names)."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from builder.digest import Digest
from builder.errors import InvalidReference

DEFAULT_REGISTRY = "index.docker.io"
_DOCKER_HUB = ("docker.io", "index.docker.io", "registry-1.docker.io")
_COMPONENT = r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*"
_REPOSITORY = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_HOST = re.compile(
    r"(?:[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)*|\[[0-9A-Fa-f:.]+\])(?::[0-9]+)?"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """Where an image is: registry, repository, and a tag, a digest or both.

    Attributes:
        registry: host and optional port; ``index.docker.io`` for Docker Hub.
        repository: path below it, with ``library/`` filled in for Docker Hub.
        tag: None if only a digest was given.
        digest: None unless one was given; it decides where both are.
    """

    registry: str
    repository: str
    tag: str | None = None
    digest: Digest | None = None

    @classmethod
    def parse(cls, text: str) -> Reference:
        """Parse ``[host[:port]/]path[:tag][@digest]``; without tag and digest the tag is ``latest``.

        Raises InvalidReference.
        """
        rest, at, digest_text = text.partition("@")
        digest = Digest.parse(digest_text) if at else None
        head, colon, tag = rest.rpartition(":")
        if not colon or "/" in tag:
            head, tag = rest, ""
        registry, repository = _split(head)
        _check(text, registry, repository, tag if colon and "/" not in rest.rpartition(":")[2] else None)
        return cls(registry=registry, repository=repository, tag=tag or (None if digest else "latest"), digest=digest)

    @property
    def name(self) -> str:
        """Registry and repository as people write them."""
        return f"{self.registry}/{self.repository}"

    @property
    def identifier(self) -> str:
        """What the manifest is asked for by: the digest where there is one, else the tag."""
        return str(self.digest) if self.digest else self.tag or "latest"

    def with_digest(self, digest: Digest) -> Reference:
        return replace(self, digest=digest)

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        return f"{self.name}{tag}" + (f"@{self.digest}" if self.digest else "")


def _split(head: str) -> tuple[str, str]:
    first, slash, rest = head.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost" or first != first.lower()):
        registry, repository = first, rest
    else:
        registry, repository = DEFAULT_REGISTRY, head
    if registry in _DOCKER_HUB:
        registry = DEFAULT_REGISTRY
        if "/" not in repository:
            repository = f"library/{repository}"
    return registry, repository


def _check(text: str, registry: str, repository: str, tag: str | None) -> None:
    problem = None
    if not _HOST.fullmatch(registry):
        problem = f"{registry!r} is not a host"
    elif not _REPOSITORY.fullmatch(repository):
        lower = " (repository names are lower-case)" if repository != repository.lower() else ""
        problem = f"{repository!r} is not a repository name{lower}"
    elif len(repository) > 255:
        problem = "the repository name is longer than 255 characters"
    elif tag is not None and not _TAG.fullmatch(tag):
        problem = f"{tag!r} is not a tag"
    if problem:
        raise InvalidReference(f"invalid image reference {text!r}: {problem}")
