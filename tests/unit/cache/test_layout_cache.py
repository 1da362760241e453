from __future__ import annotations

import json
import os
import threading
from pathlib import Path

import pytest
from entries import KEY, NOW, OTHER, WORKS, at, content, result, warnings

from builder.cache.base import CacheKey
from builder.cache.freshness import Freshness
from builder.cache.layout import LayoutCache
from builder.progress import Recorded
from builder.storage.atomic import replacing
from builder.storage.blobs import BlobStore


def cache(path: Path, progress: Recorded | None = None, *, now: float = NOW, stores: bool = True) -> LayoutCache:
    freshness = Freshness(ttl=86400.0, now=at(now))
    return LayoutCache(path, WORKS, freshness, progress or Recorded(), stores=stores)


def blob_of(path: Path) -> Path:
    return path / "blobs/sha256" / result().blob.descriptor.digest.hex


def test_what_was_stored_is_found(tmp_path: Path) -> None:
    place = tmp_path / "cache"
    assert cache(place).lookup(KEY) is None
    cache(place).store(KEY, result())
    found = cache(place).lookup(KEY)
    assert content(found) == b"a tar"
    assert cache(place).lookup(OTHER) is None
    assert found is not None
    assert (found.diff_id, found.identity, found.below) == (result().diff_id, "1" * 64, "2" * 64)
    assert found.origin == f"{place}:{KEY}"


def test_it_is_an_oci_layout_whose_references_are_the_keys(tmp_path: Path) -> None:
    cache(tmp_path).store(KEY, result())
    (entry,) = json.loads((tmp_path / "index.json").read_text())["manifests"]
    assert entry["annotations"] == {"org.opencontainers.image.ref.name": KEY.hex}
    assert sorted(os.listdir(tmp_path)) == ["blobs", "index.json", "oci-layout"]


def test_an_old_entry_is_a_miss(tmp_path: Path) -> None:
    cache(tmp_path).store(KEY, result())
    assert cache(tmp_path, now=NOW + 90000).lookup(KEY) is None
    assert cache(tmp_path, now=NOW + 80000).lookup(KEY) is not None


def test_a_later_result_takes_the_place_of_the_earlier(tmp_path: Path) -> None:
    cache(tmp_path).store(KEY, result())
    cache(tmp_path).store(KEY, result(b"another"))
    assert content(cache(tmp_path).lookup(KEY)) == b"another"


@pytest.mark.parametrize("damage", ["gone", "shorter", "no manifest"])
def test_a_damaged_entry_is_a_miss_with_a_warning(tmp_path: Path, damage: str) -> None:
    progress = Recorded()
    cache(tmp_path).store(KEY, result())
    if damage == "gone":
        blob_of(tmp_path).unlink()
    elif damage == "shorter":
        blob_of(tmp_path).write_bytes(b"x")
    else:
        (entry,) = json.loads((tmp_path / "index.json").read_text())["manifests"]
        (tmp_path / "blobs/sha256" / entry["digest"].partition(":")[2]).write_text("{}")
    assert cache(tmp_path, progress).lookup(KEY) is None
    assert len(warnings(progress)) == 1
    cache(tmp_path).store(KEY, result())
    assert content(cache(tmp_path).lookup(KEY)) == b"a tar"


def test_other_bytes_are_noticed_when_they_are_read_and_replaced_when_they_are_stored(tmp_path: Path) -> None:
    cache(tmp_path).store(KEY, result())
    blob_of(tmp_path).write_bytes(bytes(blob_of(tmp_path).stat().st_size))
    with pytest.raises(Exception, match="wrong content"):
        content(cache(tmp_path).lookup(KEY))
    cache(tmp_path).store(KEY, result())
    assert content(cache(tmp_path).lookup(KEY)) == b"a tar"


@pytest.mark.parametrize("index", ["", "[]", '{"manifests": 1}'])
def test_what_is_no_layout_is_not_used_and_not_changed(tmp_path: Path, index: str) -> None:
    (tmp_path / "oci-layout").write_text("{}")
    (tmp_path / "index.json").write_text(index)
    progress = Recorded()
    used = cache(tmp_path, progress)
    for key in (KEY, OTHER):
        assert used.lookup(key) is None
        used.store(key, result())
    assert (tmp_path / "index.json").read_text() == index
    assert len(warnings(progress)) == 2


@pytest.mark.parametrize("digest", ["sha256:../../../../etc/passwd", "sha256:short", "", 1, None])
def test_an_entry_cannot_lead_out_of_the_directory(tmp_path: Path, digest: object) -> None:
    cache(tmp_path).store(KEY, result())
    index = json.loads((tmp_path / "index.json").read_text())
    index["manifests"][0]["digest"] = digest
    (tmp_path / "index.json").write_text(json.dumps(index))
    progress = Recorded()
    assert cache(tmp_path, progress).lookup(KEY) is None
    assert len(warnings(progress)) == 1


def test_a_directory_that_cannot_be_made_costs_one_warning(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    progress = Recorded()
    used = cache(tmp_path / "file/cache", progress)
    for key in (KEY, OTHER):
        used.store(key, result())
        assert used.lookup(key) is None
    assert len(warnings(progress)) == 1
    assert "are not stored" in warnings(progress)[0]


def test_what_cannot_be_written_costs_one_warning_and_leaves_the_rest_as_it_was(tmp_path: Path) -> None:
    cache(tmp_path).store(KEY, result())
    (tmp_path / "ingest").write_text("in the way of a directory")
    progress = Recorded()
    used = cache(tmp_path, progress)
    used.store(OTHER, result(b"another"))
    used.store(OTHER, result(b"another"))
    assert len(warnings(progress)) == 1
    assert content(cache(tmp_path).lookup(KEY)) == b"a tar"
    assert cache(tmp_path).lookup(OTHER) is None


def test_nothing_is_stored_that_was_not_asked_for(tmp_path: Path) -> None:
    cache(tmp_path / "cache", stores=False).store(KEY, result())
    assert not (tmp_path / "cache").exists()


def test_many_jobs_fill_it_at_once(tmp_path: Path) -> None:
    keys = [CacheKey(f"{number:064x}") for number in range(24)]

    def fill(part: int) -> None:
        own = cache(tmp_path)
        for key in keys[part::4]:
            own.store(key, result(key.hex.encode()))
            own.store(KEY, result())

    threads = [threading.Thread(target=fill, args=(part,)) for part in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    found = cache(tmp_path)
    assert [content(found.lookup(key)) for key in keys] == [key.hex.encode() for key in keys]
    assert content(found.lookup(KEY)) == b"a tar"
    assert len(json.loads((tmp_path / "index.json").read_text())["manifests"]) == len(keys) + 1


def test_a_reader_never_sees_half_an_index(tmp_path: Path) -> None:
    cache(tmp_path).store(KEY, result())
    with replacing(tmp_path / "index.json") as stream:
        stream.write(b'{"manifests": [')
        assert content(cache(tmp_path).lookup(KEY)) == b"a tar"
        stream.write(b"]}")
    assert cache(tmp_path).lookup(KEY) is None


def _age(path: Path, days: float) -> None:
    for file in (path / "blobs/sha256").iterdir():
        os.utime(file, (file.stat().st_mtime - days * 86400,) * 2)


def _blobs(path: Path) -> set[str]:
    return set(os.listdir(path / "blobs/sha256"))


def test_blobs_of_replaced_entries_are_removed(tmp_path: Path) -> None:
    cache(tmp_path).store(OTHER, result(b"stays"))
    stays = _blobs(tmp_path)
    cache(tmp_path).store(KEY, result())
    _age(tmp_path, 2)
    cache(tmp_path).store(KEY, result(b"another"))
    assert not blob_of(tmp_path).exists()
    assert stays < _blobs(tmp_path)
    assert len(_blobs(tmp_path)) == 6
    assert content(cache(tmp_path).lookup(OTHER)) == b"stays"
    assert content(cache(tmp_path).lookup(KEY)) == b"another"


def test_a_blob_that_another_entry_has_too_stays(tmp_path: Path) -> None:
    cache(tmp_path).store(OTHER, result())
    cache(tmp_path).store(KEY, result())
    _age(tmp_path, 2)
    cache(tmp_path).store(KEY, result(b"another"))
    assert content(cache(tmp_path).lookup(OTHER)) == b"a tar"


def test_what_was_found_a_moment_ago_stays(tmp_path: Path) -> None:
    cache(tmp_path).store(KEY, result())
    _age(tmp_path, 2)
    found = cache(tmp_path).lookup(KEY)
    cache(tmp_path).store(KEY, result(b"another"))
    assert content(found) == b"a tar"


def test_blobs_of_dropped_entries_are_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("builder.cache.layout._MOST_ENTRIES", 1)
    cache(tmp_path).store(KEY, result())
    _age(tmp_path, 2)
    cache(tmp_path).store(OTHER, result(b"another"))
    assert len(_blobs(tmp_path)) == 3
    assert cache(tmp_path).lookup(KEY) is None


def test_nothing_is_removed_while_it_is_unknown_what_is_needed(tmp_path: Path) -> None:
    cache(tmp_path).store(OTHER, result(b"stays"))
    (entry,) = json.loads((tmp_path / "index.json").read_text())["manifests"]
    cache(tmp_path).store(KEY, result())
    _age(tmp_path, 2)
    (tmp_path / "blobs/sha256" / entry["digest"].partition(":")[2]).write_text("{}")
    cache(tmp_path).store(KEY, result(b"another"))
    assert blob_of(tmp_path).exists()


def test_other_images_in_the_layout_stay(tmp_path: Path) -> None:
    """An index with children, as other tools or the base-image cache put it there."""
    cache(tmp_path).store(OTHER, result(b"stays"))
    index = json.loads((tmp_path / "index.json").read_text())
    store = BlobStore(tmp_path)
    nested = json.dumps(
        {**index, "manifests": [{k: v for k, v in index["manifests"][0].items() if k != "annotations"}]}
    )
    digest, noted = store.put(nested.encode()), store.put(b"noted")
    index["manifests"] = [
        {
            "mediaType": index["mediaType"],
            "digest": str(digest),
            "size": len(nested),
            "annotations": {"builder.warm.index": str(noted)},
        }
    ]
    (tmp_path / "index.json").write_text(json.dumps(index))
    before = _blobs(tmp_path)
    cache(tmp_path).store(KEY, result())
    _age(tmp_path, 2)
    cache(tmp_path).store(KEY, result(b"another"))
    assert before < _blobs(tmp_path)
    assert not blob_of(tmp_path).exists()
