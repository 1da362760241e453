"""What the stages of one build share of caching."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

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
        asked: anything is looked up, so that it is not known yet what has to be built.
        dockerfile: what tells this Dockerfile and what it is built for from others.
    """

    caches: Caches
    history: StepHistory | None
    files: FileDigests
    dockerfile: str
    asked: bool

    @property
    def asks_far(self) -> bool:
        """Whether caches behind a network are asked."""
        return self.asked and self.caches.any_far

    def finish(self) -> None:
        """Wait until everything is stored."""
        self.caches.finish()
        self.files.save()

    def cancel(self) -> None:
        """Give up what is not stored yet."""
        self.caches.cancel()

    def describe(self, key: CacheKey, components: Sequence[Component]) -> None:
        """Keep what a key was made from, for later builds to compare with."""
        if self.caches.local is not None:
            self.caches.local.describe(key, components)

    def note(self, place: StepPlace, key: CacheKey) -> None:
        """Keep which key a step has now."""
        if self.history is not None:
            self.history.note(place, key)


def shared_caching(request: BuildRequest, caches: Sequence[LayerCache]) -> SharedCaching:
    """What a build has of caching; with no caches, nothing is looked up or stored."""
    context = framed(str(request.context))
    found = Caches(() if request.single_snapshot else caches)
    kept = None if found.local is None else found.local.directory
    return SharedCaching(
        caches=found,
        history=None if kept is None else StepHistory(kept),
        files=FileDigests(None if kept is None else kept / "files" / f"{context}.json"),
        asked=bool(found) and not request.no_cache,
        dockerfile=framed([context, request.dockerfile_path, str(request.platform)]),
    )
