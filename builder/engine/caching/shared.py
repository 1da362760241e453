"""What the stages of one build share of caching."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from builder.cache.base import CacheKey, LayerCache
from builder.cache.file_digests import FileDigests
from builder.cache.keys import Component, framed
from builder.cache.steps import StepHistory, StepPlace
from builder.engine.caching.caches import Caches
from builder.engine.request import BuildRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedCaching:
    """The caches, and what is remembered of this context and Dockerfile.

    Attributes:
        history: None where nothing is kept on this machine.
        files: digests of the context's files; whoever uses them holds the lock of the context.
        dockerfile: what tells this Dockerfile and what it is built for from others.
    """

    caches: Caches
    history: StepHistory | None
    files: FileDigests
    dockerfile: str

    def describe(self, key: CacheKey, components: Sequence[Component]) -> None:
        """Keep what a key was made from, for later builds to compare with."""
        if self.caches.local is not None:
            self.caches.local.describe(key, components)

    def note(self, place: StepPlace, key: CacheKey) -> None:
        """Keep which key a step has now."""
        if self.history is not None:
            self.history.note(place, key)


def shared_caching(request: BuildRequest, caches: Sequence[LayerCache], kept: Path | None) -> SharedCaching:
    """What a build has of caching; with no caches, nothing is looked up or stored.

    Args:
        kept: directory of the local cache; None if nothing is to be kept on this machine.
    """
    context = framed(str(request.context))
    used = () if request.single_snapshot else caches
    return SharedCaching(
        caches=Caches(used),
        history=StepHistory(kept) if kept and used else None,
        files=FileDigests(kept / "files" / f"{context}.json" if kept and used else None),
        dockerfile=framed([context, request.dockerfile_path, str(request.platform)]),
    )
