"""Several caches as one: their order, what is asked ahead, and what is stored where."""

from __future__ import annotations

import threading
from collections.abc import Collection
from dataclasses import replace

import pytest

from builder.cache.base import CachedLayer, CacheKey, LayerCache, Work
from builder.digest import Digest
from builder.engine.caching.caches import Caches
from builder.errors import LayerError
from builder.image.descriptor import Descriptor
from builder.image.media_types import OCI_LAYER_GZIP
from builder.storage.blob import Blob, MemoryBlob

KEY, OTHER = CacheKey("1" * 64), CacheKey("2" * 64)
LAYER = CachedLayer(
    blob=Blob(descriptor=Descriptor.of(OCI_LAYER_GZIP, b"layer"), source=MemoryBlob(b"layer")),
    diff_id=Digest.of(b"unpacked"),
    created=1,
    identity="identity",
    below="below",
    work="run",
)


class FakeCache:
    """A cache in memory that notes what it is asked."""

    def __init__(self, name: str, *, near: bool = True, works: Collection[Work] = ("run", "copy", "workdir")) -> None:
        self.name, self._near, self._works = name, near, works
        self.held: dict[CacheKey, CachedLayer] = {}
        self.asked: list[CacheKey] = []
        self.open = threading.Event()
        self.open.set()

    @property
    def near(self) -> bool:
        return self._near

    def accepts(self, work: Work) -> bool:
        return work in self._works

    def lookup(self, key: CacheKey) -> CachedLayer | None:
        self.asked.append(key)
        assert self.open.wait(60)
        found = self.held.get(key)
        return None if found is None else replace(found, origin=self.name)

    def store(self, key: CacheKey, result: CachedLayer) -> None:
        self.held[key] = result


def test_fakes_are_caches() -> None:
    cache: LayerCache = FakeCache("near")
    assert cache.near


def test_no_caches() -> None:
    caches = Caches(())
    assert not caches
    assert caches.lookup(KEY, "run") is None
    caches.finish()


def test_the_first_that_has_it_counts() -> None:
    near, far = FakeCache("near"), FakeCache("far", near=False)
    caches = Caches((near, far))
    assert caches.lookup(KEY, "run") is None
    assert (near.asked, far.asked) == ([KEY], [KEY])
    far.held[OTHER] = LAYER
    found = caches.lookup(OTHER, "run")
    assert found is not None
    assert found.origin == "far"
    near.held[OTHER] = LAYER
    found = caches.lookup(OTHER, "run")
    assert found is not None
    assert found.origin == "near"


def test_a_hit_is_given_to_those_that_come_later() -> None:
    near, second, far = FakeCache("near"), FakeCache("second"), FakeCache("far", near=False)
    near.held[KEY] = LAYER
    caches = Caches((near, second, far))
    assert caches.lookup(KEY, "run")
    caches.finish()
    assert KEY in second.held
    assert KEY in far.held
    assert far.asked == []


def test_a_far_hit_does_not_come_to_this_machine() -> None:
    near, far = FakeCache("near"), FakeCache("far", near=False)
    far.held[KEY] = LAYER
    caches = Caches((near, far))
    assert caches.lookup(KEY, "run")
    caches.finish()
    assert near.held == {}


def test_kinds_that_a_cache_does_not_take() -> None:
    runs = FakeCache("runs", works=["run"])
    runs.held[KEY] = LAYER
    caches = Caches((runs,))
    assert caches.lookup(KEY, "copy") is None
    assert runs.asked == []
    caches.store(lambda: [(OTHER, replace(LAYER, work="copy"))])
    caches.finish()
    assert OTHER not in runs.held


def test_far_caches_are_asked_ahead_side_by_side_and_once() -> None:
    near, far = FakeCache("near"), FakeCache("far", near=False)
    far.held |= {KEY: LAYER, OTHER: LAYER}
    far.open.clear()
    caches = Caches((near, far))
    caches.ahead(KEY, "run")
    caches.ahead(OTHER, "run")
    caches.ahead(OTHER, "run")
    while len(far.asked) < 2:
        pass  # both are asked before either has answered
    far.open.set()
    assert caches.lookup(KEY, "run")
    assert caches.lookup(OTHER, "run")
    assert sorted(far.asked, key=str) == [KEY, OTHER]
    caches.finish()


def test_nobody_far_is_asked_for_what_is_near() -> None:
    near, far = FakeCache("near"), FakeCache("far", near=False)
    near.held[KEY] = LAYER
    caches = Caches((near, far))
    caches.ahead(KEY, "run")
    caches.finish()
    assert far.asked == []


def test_what_cannot_be_built_is_not_stored() -> None:
    near = FakeCache("near")
    caches = Caches((near,))

    def fails() -> list[tuple[CacheKey, CachedLayer]]:
        raise LayerError("it could not be written")

    caches.store(fails)
    caches.store(lambda: [(KEY, LAYER)])
    caches.finish()
    assert list(near.held) == [KEY]


@pytest.mark.parametrize("far", [False, True])
def test_whether_any_is_behind_a_network(far: bool) -> None:
    assert Caches((FakeCache("near"), FakeCache("other", near=not far))).any_far is far
