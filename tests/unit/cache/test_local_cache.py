"""The cache on this machine: what was stored is found, and what is damaged is a miss with a warning."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from builder.cache.base import CachedLayer, CacheKey
from builder.cache.local import LocalCache
from builder.cache.record import record_path
from builder.digest import Digest
from builder.image.descriptor import Descriptor
from builder.image.media_types import OCI_LAYER_GZIP
from builder.progress import Message, Recorded
from builder.storage.blob import Blob
from builder.storage.blobs import BlobStore

KEY, OTHER = CacheKey("ab" * 32), CacheKey("cd" * 32)


class Place:
    """A state directory with a cache."""

    def __init__(self, state: Path) -> None:
        self.directory = state / "cache"
        self.blobs = BlobStore(state)
        self.progress = Recorded()
        self.cache = self.new()

    def new(self) -> LocalCache:
        return LocalCache(self.directory, self.blobs, self.progress)

    def layer(self, data: bytes = b"layer", created: int = 7) -> CachedLayer:
        digest = self.blobs.put(data)
        descriptor = Descriptor(media_type=OCI_LAYER_GZIP, digest=digest, size=len(data))
        return CachedLayer(
            blob=Blob(descriptor=descriptor, source=self.blobs.source(descriptor)),
            diff_id=Digest.of(b"unpacked " + data),
            created=created,
            identity="identity",
            below="below",
            work="run",
            instruction="RUN \udcffmake",
        )

    @property
    def record(self) -> Path:
        return record_path(self.directory, KEY)

    @property
    def warnings(self) -> list[str]:
        return [event.text for event in self.progress.events if isinstance(event, Message) and event.level == "warning"]


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_what_was_stored_is_found(place: Place) -> None:
    layer = place.layer()
    assert place.cache.lookup(KEY) is None
    place.cache.store(KEY, layer)
    assert place.new().lookup(KEY) == replace(layer, origin="local cache")
    assert place.cache.lookup(OTHER) is None
    assert not place.warnings


def test_the_latest_result_counts(place: Place) -> None:
    place.cache.store(KEY, place.layer())
    place.cache.store(KEY, place.layer(b"another", created=8))
    found = place.cache.lookup(KEY)
    assert found is not None
    assert found.created == 8


def test_a_lookup_says_when_the_record_was_used(place: Place) -> None:
    place.cache.store(KEY, place.layer())
    os.utime(place.record, (1, 1))
    assert place.cache.lookup(KEY)
    assert place.record.stat().st_mtime > 1


def test_a_layer_that_is_elsewhere_is_not_stored(place: Place) -> None:
    layer = place.layer()
    place.blobs.remove(layer.blob.descriptor.digest)
    place.cache.store(KEY, layer)
    assert not place.record.exists()


def test_a_blob_that_was_removed_is_a_miss(place: Place) -> None:
    layer = place.layer()
    place.cache.store(KEY, layer)
    place.blobs.remove(layer.blob.descriptor.digest)
    assert place.cache.lookup(KEY) is None


def _rewritten(**fields: object) -> Callable[[Place], object]:
    def rewrite(place: Place) -> None:
        place.record.write_text(json.dumps(json.loads(place.record.read_text()) | fields))

    return rewrite


def _layer(**fields: object) -> Callable[[Place], object]:
    def rewrite(place: Place) -> None:
        document = json.loads(place.record.read_text())
        document["layer"] |= fields
        place.record.write_text(json.dumps(document))

    return rewrite


@pytest.mark.parametrize(
    "poison",
    [
        lambda place: place.record.write_bytes(b"not JSON"),
        lambda place: place.record.write_bytes(b""),
        lambda place: place.record.write_bytes(b"\xff\xfe"),
        lambda place: place.record.write_bytes(b"[" * 100_000),
        lambda place: place.record.write_bytes(b"[]"),
        _rewritten(key=OTHER.hex),
        _rewritten(diff_id="sha256:../../../../etc/passwd"),
        _rewritten(diff_id=5),
        _rewritten(created="now"),
        _rewritten(created=-1),
        _rewritten(created=True),
        _rewritten(work="onbuild"),
        _rewritten(identity=None),
        _layer(digest="sha256:../../../../../../etc/passwd"),
        _layer(digest="sha256:" + "../" * 21 + "x"),
        _layer(size=-5),
        _layer(size="5"),
        _layer(mediaType="text/plain"),
        _layer(mediaType=None),
    ],
)
def test_a_poisoned_record_is_a_miss_with_a_warning(place: Place, poison: Callable[[Place], object]) -> None:
    layer = place.layer()
    place.cache.store(KEY, layer)
    poison(place)
    assert place.cache.lookup(KEY) is None
    assert len(place.warnings) == 1
    assert str(place.record) in place.warnings[0]
    place.cache.store(KEY, layer)
    assert place.cache.lookup(KEY), "what is built instead takes its place"


def test_a_record_of_another_version_is_a_miss(place: Place) -> None:
    place.cache.store(KEY, place.layer())
    _rewritten(version=999)(place)
    assert place.cache.lookup(KEY) is None
    assert not place.warnings


@pytest.mark.parametrize("data", [b"LAYER", b"a longer layer", b""])
def test_a_blob_with_other_content_is_removed(place: Place, data: bytes) -> None:
    layer = place.layer()
    place.cache.store(KEY, layer)
    path = place.blobs.path(layer.blob.descriptor.digest)
    path.write_bytes(data)
    assert place.cache.lookup(KEY) is None
    assert str(layer.blob.descriptor.digest) in place.warnings[0]
    assert not path.exists()


def test_a_blob_that_was_copied_is_read_once(place: Place) -> None:
    """As a CI's cache brings it back: the same bytes, other times."""
    layer = place.layer()
    place.cache.store(KEY, layer)
    path = place.blobs.path(layer.blob.descriptor.digest)
    os.utime(path, (5, 5))
    assert place.cache.lookup(KEY)
    assert json.loads(place.record.read_text())["blob_mtime_ns"] == 5 * 10**9
    assert not place.warnings


def test_a_cache_that_cannot_be_written_is_warned_of_once(place: Place) -> None:
    layer = place.layer()
    place.directory.write_text("a file where the directory should be")
    for key in (KEY, OTHER):
        place.cache.store(key, layer)
        assert place.cache.lookup(key) is None
    assert len(place.warnings) == 1
    assert "takes nothing more" in place.warnings[0]


def test_many_at_once(place: Place) -> None:
    layers = [place.layer(f"layer {number}".encode()) for number in range(8)]

    def work(number: int) -> None:
        cache = place.new()
        for _ in range(20):
            cache.store(KEY, layers[number])
            found = cache.lookup(KEY)
            assert found is not None
            assert found.diff_id in {layer.diff_id for layer in layers}

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(work, range(8)))
    assert not place.warnings
    assert [path for path in place.directory.rglob("*") if path.name.startswith(".")] == []
