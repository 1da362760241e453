"""All caches of a build as one: asked in their order, the far ones ahead; filled in the background."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from builder.cache.base import CachedLayer, CacheKey, LayerCache, Work
from builder.cache.guard import guarded
from builder.cache.local import LocalCache
from builder.errors import BuilderError

_LOOKUPS = 8
_STORES = 4
_Asked = tuple[int, CacheKey]
Results = Callable[[], Sequence[tuple[CacheKey, CachedLayer]]]
"""Gives results with the keys that they are stored under; may wait for layers."""


class Caches:
    """The layer caches of one build. Thread-safe.

    Args:
        caches: in the order in which they are asked.
    """

    def __init__(self, caches: Sequence[LayerCache]) -> None:
        self._caches = tuple(caches)
        self._lock = threading.Lock()
        self._asked: dict[_Asked, Future[CachedLayer | None]] = {}
        self._looking: ThreadPoolExecutor | None = None
        self._storing: ThreadPoolExecutor | None = None
        self._stores: list[Future[None]] = []

    def __bool__(self) -> bool:
        return bool(self._caches)

    @property
    def local(self) -> LocalCache | None:
        return next((cache for cache in self._caches if isinstance(cache, LocalCache)), None)

    @property
    def any_far(self) -> bool:
        return any(not cache.near for cache in self._caches)

    def lookup(self, key: CacheKey, work: Work) -> CachedLayer | None:
        """The result from the first cache that has it; the far ones that do not are given it."""
        for number, cache in enumerate(self._caches):
            if cache.accepts(work) and (found := self._lookup(number, cache, key)) is not None:
                self._spread(number, key, found)
                return guarded(found)
        return None

    def ahead(self, key: CacheKey, work: Work) -> None:
        """Begin to ask the far caches, unless a near one has the result."""
        if any(cache.near and cache.accepts(work) and cache.lookup(key) for cache in self._caches):
            return
        for number, cache in enumerate(self._caches):
            if not cache.near and cache.accepts(work):
                self._ask(number, cache, key)

    def store(self, result: Results) -> None:
        """Store in the background what `result` gives; it may wait for layers. If it raises, nothing is stored."""
        self._submit(result, self._caches)

    def finish(self) -> None:
        """Wait until everything is stored."""
        for store in self._stores:
            with contextlib.suppress(Exception):
                store.result()
        self.cancel()

    def cancel(self) -> None:
        """Give up what has not begun."""
        for pool in (self._looking, self._storing):
            if pool is not None:
                pool.shutdown(wait=False, cancel_futures=True)

    def _lookup(self, number: int, cache: LayerCache, key: CacheKey) -> CachedLayer | None:
        return cache.lookup(key) if cache.near else self._ask(number, cache, key).result()

    def _ask(self, number: int, cache: LayerCache, key: CacheKey) -> Future[CachedLayer | None]:
        with self._lock:
            if self._looking is None:
                self._looking = ThreadPoolExecutor(_LOOKUPS, thread_name_prefix="cache-lookup")
            if (number, key) not in self._asked:
                self._asked[number, key] = self._looking.submit(cache.lookup, key)
            return self._asked[number, key]

    def _spread(self, number: int, key: CacheKey, found: CachedLayer) -> None:
        later = [cache for cache in self._caches[number + 1 :] if cache.accepts(found.work)]
        lacking = [cache for cache in later if not cache.near or cache.lookup(key) is None]
        if lacking:
            self._submit(lambda: [(key, found)], lacking)

    def _submit(self, result: Results, caches: Sequence[LayerCache]) -> None:
        with self._lock:
            if self._storing is None:
                self._storing = ThreadPoolExecutor(_STORES, thread_name_prefix="cache-store")
            self._stores.append(self._storing.submit(self._store, result, caches))

    def _store(self, result: Results, caches: Sequence[LayerCache]) -> None:
        # What could not be built or written is told by whoever needs it, not by the cache.
        with contextlib.suppress(BuilderError, OSError):
            for key, layer in result():
                for cache in caches:
                    if cache.accepts(layer.work):
                        cache.store(key, layer)
