"""One step and the caches: its keys, what they have for it, and why they have nothing."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace

from builder.cache.base import CachedLayer, CacheKey, Work
from builder.cache.keys import Component, component, framed, identity_of, key_of
from builder.cache.steps import StepPlace
from builder.engine.caching.chain import Chain
from builder.engine.caching.origin import Origin
from builder.engine.caching.shared import SharedCaching
from builder.engine.layers import Layer
from builder.errors import BuilderError


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """What a step's layer depends on.

    Attributes:
        common: everything but files.
        origins: what it copies or mounts from, other than the build context.
        files: gives the components of all files; raises BuilderError.
        unchanged: whether those files are still what `files` has seen.
        independent: the layer does not depend on what is below.
    """

    place: StepPlace
    work: Work
    instruction: str
    common: Sequence[Component]
    origins: Sequence[Origin]
    files: Callable[[], Sequence[Component]]
    unchanged: Callable[[], bool]
    independent: bool


class StepCache:
    """One step, looked up and kept.

    Args:
        chain: of the stage, with an identity.
        unasked: why what is there is not to be used, None if it is.
    """

    def __init__(self, inputs: Inputs, chain: Chain, shared: SharedCaching, *, unasked: str | None = None) -> None:
        self._inputs, self._chain, self._shared, self._unasked = inputs, chain, shared, unasked
        self._quick = self._quick_key()
        self._key: CacheKey | None = None
        self._identity: str | None = None
        self.reason = ""

    def find(self) -> CachedLayer | None:
        """The step's result, if a cache has it; else `reason` says why not.

        Raises what the build of a stage that is copied from raised.
        """
        looking = self._unasked is None
        if looking and self._quick is not None and (found := self._usable(self._quick, self._quick_below)):
            self._shared.note(self._inputs.place, self._quick)
            return found
        try:
            components = [*self._inputs.common, *self._inputs.files()]
        except BuilderError:
            return None  # the instruction itself says what is wrong
        self._key, self._identity = key_of(components), identity_of(components)
        found = self._usable(self._key, self._below) if looking else None
        if found is None:
            self.reason = self._unasked or self.reason or self._difference(components)
            self._shared.describe(self._key, components)
        if self._quick is not None:
            self._shared.describe(self._quick, components)
            if found is not None:
                self._keep_under_quick_key(found)
        self._shared.note(self._inputs.place, self._key)
        return found

    def ask_ahead(self) -> Chain | None:
        """Have the far caches asked, and say what the next step's keys are made from; None if that is not known yet.

        Raises what telling the inputs raises.
        """
        if self._inputs.origins:
            found = self.find()
            return None if found is None else self.after(found)
        components = [*self._inputs.common, *self._inputs.files()]
        self._identity = identity_of(components)
        self._shared.caches.ahead(key_of(components), self._inputs.work)
        return replace(self._chain, identity=self._upon(self._identity))

    def after(self, made: CachedLayer | Future[Layer]) -> Chain:
        """The chain with this step's result on it."""
        identity = made.identity if isinstance(made, CachedLayer) else self._identity
        if identity is None:
            return Chain(identity=None, results=self._chain.results)
        identity = self._upon(identity)
        if self._inputs.work != "run":
            return Chain(identity=identity, results=self._chain.results.then(identity))
        result = str(made.diff_id) if isinstance(made, CachedLayer) else made
        return Chain(identity=identity, results=self._chain.results.then(result))

    def _upon(self, identity: str) -> str:
        """The identity of the step with all below it; that of an independent one says nothing of what is below."""
        return framed(["upon", self._chain.identity, identity]) if self._inputs.independent else identity

    def keep(self, layer: Future[Layer], created: int) -> None:
        """Store the result once its layer is written."""
        key, identity = self._key, self._identity
        if key is None or identity is None:
            return

        def results() -> Sequence[tuple[CacheKey, CachedLayer]]:
            made = layer.result()
            if not self._inputs.unchanged():
                return []  # files of the context have changed since the key was made: whose layer is it?
            result = CachedLayer(
                blob=made.blob,
                diff_id=made.diff_id,
                created=created,
                identity=identity,
                below=self._below(),
                work=self._inputs.work,
                instruction=self._inputs.instruction,
            )
            if self._quick is None:
                return [(key, result)]
            return [(key, result), (self._quick, replace(result, below=self._quick_below()))]

        self._shared.caches.store(results)

    def _usable(self, key: CacheKey, below: Callable[[], str]) -> CachedLayer | None:
        found = self._shared.caches.lookup(key, self._inputs.work)
        if found is None:
            return None
        with contextlib.suppress(BuilderError):  # a layer that cannot be written is told by whoever needs it
            if found.below == below():
                return found
        self.reason = "an earlier step gave another result"
        return None

    def _below(self) -> str:
        return "" if self._inputs.independent else self._chain.results.value()

    def _quick_below(self) -> str:
        chains = [origin.chain for origin in self._inputs.origins]
        return framed([self._below(), [chain.results.value() for chain in chains if chain is not None]])

    def _quick_key(self) -> CacheKey | None:
        """The key that says from which stages and images is copied, instead of what."""
        if not self._inputs.origins:
            return None
        named: list[Component] = []
        for number, origin in enumerate(self._inputs.origins):
            if origin.chain is None or origin.chain.identity is None:
                return None
            named.append(component(f"source {number}", origin.chain.identity))
        return key_of([*self._inputs.common, *named])

    def _difference(self, components: Sequence[Component]) -> str:
        history = self._shared.history
        return "not in the cache" if history is None else history.reason(self._inputs.place, components)

    def _keep_under_quick_key(self, found: CachedLayer) -> None:
        quick = self._quick
        assert quick is not None
        self._shared.caches.store(lambda: [(quick, replace(found, below=self._quick_below()))])
