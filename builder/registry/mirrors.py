"""Where an image may be pulled from: mirrors and maps, in order, then its own registry."""

from __future__ import annotations

from dataclasses import replace

from builder.image.reference import DEFAULT_REGISTRY, Reference
from builder.registry.policy import RegistryPolicy


def candidates(policy: RegistryPolicy, reference: Reference) -> tuple[Reference, ...]:
    """The places to try for `reference`, best first; never empty."""
    places = [_moved(reference, source, target) for source, targets in policy.maps.items() for target in targets]
    if reference.registry == DEFAULT_REGISTRY:
        places += [_moved(reference, DEFAULT_REGISTRY, mirror) for mirror in policy.mirrors]
    found = [place for place in places if place]
    if policy.default_fallback or not found:
        found.append(reference)
    return tuple(dict.fromkeys(found))


def _moved(reference: Reference, source: str, target: str) -> Reference | None:
    """`reference` with ``host[/path]`` replaced; None if `source` does not cover it."""
    host, _, prefix = source.strip("/").partition("/")
    if _canonical(host) != reference.registry:
        return None
    repository = reference.repository
    if prefix:
        if not repository.startswith(f"{prefix}/"):
            return None
        repository = repository.removeprefix(f"{prefix}/")
    new_host, _, path = target.removeprefix("https://").removeprefix("http://").strip("/").partition("/")
    return replace(reference, registry=_canonical(new_host), repository=f"{path}/{repository}" if path else repository)


def _canonical(host: str) -> str:
    return DEFAULT_REGISTRY if host in ("docker.io", "registry-1.docker.io") else host
