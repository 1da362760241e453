from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from entries import NOW, at, warnings
from stand_in import Answer, Asked, FakeRegistry, registries

from builder.cache.base_images import CachedImages, with_base_images
from builder.cache.freshness import Freshness
from builder.cache.warm import Warmer, check_writable
from builder.digest import Digest
from builder.errors import BuilderError, DigestMismatch, ManifestError, StorageError
from builder.image import media_types
from builder.image.manifest import Index
from builder.image.media_types import Family
from builder.image.platform import Platform
from builder.progress import Recorded
from builder.registry.pull import RemoteImage, resolve_image
from builder.storage.blob import Blob
from builder.storage.oci_layout import read_oci_layout
from images import AMD64, make_image, publish

ARM64 = Platform("linux", "arm64")
IMAGE = make_image(b"one", b"two")


@contextmanager
def fake_registry() -> Iterator[FakeRegistry]:
    """A registry that says which digest a tag has, as real ones do."""

    def said(asked: Asked) -> Answer | None:
        place, _, tag = asked.path.removeprefix("/v2/").partition("/manifests/")
        if asked.method != "HEAD" or (place, tag) not in registry.manifests:
            return None
        digest = Digest.of(registry.manifests[place, tag][1])
        return Answer(headers={"Docker-Content-Digest": str(digest)})

    with FakeRegistry(said) as registry:
        yield registry


def warmer(directory: Path, *, now: float = NOW, force: bool = False, days: float = 14) -> Warmer:
    return Warmer(directory, registries(), Freshness(ttl=days * 86400, now=at(now)), force=force)


def resolved(directory: Path, registry: FakeRegistry, name: str, progress: Recorded | None = None) -> RemoteImage:
    client = with_base_images(directory, registries(progress=progress))
    return resolve_image(client, registry.reference(name), AMD64)


def read(blob: Blob) -> bytes:
    with blob.source.open() as stream:
        return b"".join(iter(lambda: stream.read(2), b""))


def publish_index(registry: FakeRegistry) -> str:
    """An index ``a:1`` of two platforms; returns its digest."""
    other = make_image(b"arm", platform=ARM64)
    children = [
        replace(publish(registry, "a", "amd64", IMAGE), platform=AMD64),
        replace(publish(registry, "a", "arm64", other), platform=ARM64),
    ]
    index = Index(family=Family.OCI, manifests=tuple(children))
    return str(registry.add_manifest("a", "1", media_types.OCI_INDEX, index.to_bytes()))


def test_a_warmed_image_costs_one_request_that_is_no_pull(tmp_path: Path) -> None:
    with fake_registry() as registry:
        publish(registry, "a", "1", IMAGE)
        done = warmer(tmp_path).warm(registry.reference("a:1"), AMD64)
        assert (done.blobs, done.fetched) == (4, 4)
        registry.asked.clear()
        found = resolved(tmp_path, registry, "a:1")
        assert [read(layer) for layer in found.layers] == [b"one", b"two"]
        assert found.manifest_bytes == IMAGE.manifest_bytes
        assert found.config_bytes == IMAGE.config
        assert found.layers[0].origin is not None
        assert found.layers[0].origin.repository == "a"
    assert registry.requests == ["HEAD /v2/a/manifests/1"]


def test_an_image_by_digest_needs_no_registry(tmp_path: Path) -> None:
    with fake_registry() as registry:
        index = publish_index(registry)
        warmer(tmp_path).warm(registry.reference(f"a@{index}"), AMD64)
    found = resolved(tmp_path, registry, f"a@{index}")
    assert [read(layer) for layer in found.layers] == [b"one", b"two"]
    assert resolved(tmp_path, registry, f"a@{IMAGE.digest}").config.platform == AMD64


def test_an_index_leads_to_what_was_warmed_of_it(tmp_path: Path) -> None:
    with fake_registry() as registry:
        publish_index(registry)
        warmer(tmp_path).warm(registry.reference("a:1"), AMD64)
        registry.asked.clear()
        found = resolved(tmp_path, registry, "a:1")
        assert [read(layer) for layer in found.layers] == [b"one", b"two"]
        assert registry.requests == ["HEAD /v2/a/manifests/1"]
        client = with_base_images(tmp_path, registries())
        other = resolve_image(client, registry.reference("a:1"), ARM64)
        assert [read(layer) for layer in other.layers] == [b"arm"]


def test_two_platforms_of_one_name(tmp_path: Path) -> None:
    with fake_registry() as registry:
        publish_index(registry)
        for platform in (AMD64, ARM64, AMD64):
            warmer(tmp_path).warm(registry.reference("a:1"), platform)
    names = [name for name, _ in read_oci_layout(tmp_path)]
    assert names == [str(registry.reference("a:1"))] * 2


def test_a_tag_that_has_moved_gives_the_new_image(tmp_path: Path) -> None:
    new = make_image(b"new")
    with fake_registry() as registry:
        publish(registry, "a", "1", IMAGE)
        warmer(tmp_path).warm(registry.reference("a:1"), AMD64)
        publish(registry, "a", "1", new)
        found = resolved(tmp_path, registry, "a:1")
        assert [read(layer) for layer in found.layers] == [b"new"]


def test_a_name_that_was_not_warmed_is_asked_for_as_ever(tmp_path: Path) -> None:
    with fake_registry() as registry:
        publish(registry, "a", "1", IMAGE)
        publish(registry, "b", "1", make_image(b"other"))
        warmer(tmp_path).warm(registry.reference("a:1"), AMD64)
        registry.asked.clear()
        found = resolved(tmp_path, registry, "b:1")
        assert [read(layer) for layer in found.layers] == [b"other"]
        assert registry.requests[0] == "GET /v2/b/manifests/1"


def test_no_layout_is_as_if_there_were_no_directory(tmp_path: Path) -> None:
    client = registries()
    assert with_base_images(tmp_path / "nowhere", client) is client
    assert with_base_images(tmp_path, client) is client


@pytest.mark.parametrize("damage", ["gone", "other bytes", "longer"])
@pytest.mark.parametrize("part", ["layer", "manifest", "config"])
def test_a_damaged_blob_is_fetched_from_the_registry(tmp_path: Path, part: str, damage: str) -> None:
    digests = {
        "layer": IMAGE.layers[0].descriptor.digest,
        "manifest": IMAGE.digest,
        "config": IMAGE.manifest.config.digest,
    }
    progress = Recorded()
    with fake_registry() as registry:
        publish(registry, "a", "1", IMAGE)
        warmer(tmp_path).warm(registry.reference("a:1"), AMD64)
        path = tmp_path / "blobs/sha256" / digests[part].hex
        if damage == "gone":
            path.unlink()
        else:
            path.write_bytes(bytes(path.stat().st_size + (damage == "longer")))
        found = resolved(tmp_path, registry, "a:1", progress)
        assert [read(layer) for layer in found.layers] == [b"one", b"two"]
        assert len(warnings(progress)) == (damage == "other bytes" or (damage, part) == ("longer", "manifest"))
        done = warmer(tmp_path).warm(registry.reference("a:1"), AMD64)
        assert done.fetched == 1
        registry.asked.clear()
        assert [read(layer) for layer in resolved(tmp_path, registry, "a:1").layers] == [b"one", b"two"]
        assert len(registry.asked) == 1


def test_without_the_registry_a_damaged_blob_is_an_error(tmp_path: Path) -> None:
    with fake_registry() as registry:
        publish(registry, "a", "1", IMAGE)
        warmer(tmp_path).warm(registry.reference("a:1"), AMD64)
    path = tmp_path / "blobs/sha256" / IMAGE.layers[0].descriptor.digest.hex
    path.write_bytes(bytes(path.stat().st_size))
    found = resolved(tmp_path, registry, f"a@{IMAGE.digest}")
    with pytest.raises(BuilderError):
        read(found.layers[0])


def test_an_index_that_cannot_be_read_costs_a_warning(tmp_path: Path) -> None:
    progress = Recorded()
    with fake_registry() as registry:
        publish(registry, "a", "1", IMAGE)
        warmer(tmp_path).warm(registry.reference("a:1"), AMD64)
        (tmp_path / "index.json").write_text("{")
        assert resolved(tmp_path, registry, "a:1", progress).manifest == IMAGE.manifest
    assert len(warnings(progress)) == 1


def test_warming_again_fetches_nothing_unless_it_is_forced(tmp_path: Path) -> None:
    with fake_registry() as registry:
        publish(registry, "a", "1", IMAGE)
        for force, fetched in ((False, 4), (False, 0), (True, 4)):
            assert warmer(tmp_path, force=force).warm(registry.reference("a:1"), AMD64).fetched == fetched


def test_an_interrupted_warmer_leaves_no_entry(tmp_path: Path) -> None:
    with fake_registry() as registry:
        publish(registry, "a", "1", IMAGE)
        registry.blobs["a", str(IMAGE.layers[1].descriptor.digest)] = b"xyz"
        with pytest.raises(DigestMismatch):
            warmer(tmp_path).warm(registry.reference("a:1"), AMD64)
        assert not (tmp_path / "index.json").exists()
        assert not list((tmp_path / "ingest").iterdir())
        publish(registry, "a", "1", IMAGE)
        assert warmer(tmp_path).warm(registry.reference("a:1"), AMD64).fetched == 1


def test_what_is_no_image_is_an_error(tmp_path: Path) -> None:
    with fake_registry() as registry:
        registry.add_manifest("a", "1", "text/html", b"<html>")
        with pytest.raises(ManifestError):
            warmer(tmp_path).warm(registry.reference("a:1"), AMD64)


def test_several_warmers_at_once(tmp_path: Path) -> None:
    failures: list[BaseException] = []

    def run(number: int, registry: FakeRegistry) -> None:
        try:
            for name in ("a:1", f"b{number}:1"):
                warmer(tmp_path).warm(registry.reference(name), AMD64)
        except BaseException as error:
            failures.append(error)

    with fake_registry() as registry:
        publish(registry, "a", "1", IMAGE)
        for number in range(4):
            publish(registry, f"b{number}", "1", make_image(b"%d" % number, b"one"))
        threads = [threading.Thread(target=run, args=(number, registry)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        fetched = [each.path for each in registry.asked if each.method == "GET" and "/blobs/" in each.path]
    assert failures == []
    assert len(read_oci_layout(tmp_path)) == 5
    layers = [path for path in fetched if path.endswith(str(IMAGE.layers[1].descriptor.digest))]
    assert len(layers) == 1, "the second warmer has waited for the first"


def test_what_was_not_warmed_for_long_goes_and_takes_only_its_own_blobs(tmp_path: Path) -> None:
    with fake_registry() as registry:
        publish(registry, "old", "1", make_image(b"one", b"old"))
        publish(registry, "a", "1", IMAGE)
        warmer(tmp_path).warm(registry.reference("old:1"), AMD64)
        warmer(tmp_path, now=NOW + 15 * 86400).warm(registry.reference("a:1"), AMD64)
    (found,) = read_oci_layout(tmp_path)
    assert found[0] == str(registry.reference("a:1"))
    with_files = {path.name for path in (tmp_path / "blobs/sha256").iterdir()}
    assert with_files == {
        IMAGE.digest.hex,
        IMAGE.manifest.config.digest.hex,
        *(layer.descriptor.digest.hex for layer in IMAGE.layers),
    }


def test_an_image_of_another_tool_in_the_layout_stays(tmp_path: Path) -> None:
    with fake_registry() as registry:
        publish(registry, "a", "1", IMAGE)
        warmer(tmp_path).warm(registry.reference("a:1"), AMD64)
        index = json.loads((tmp_path / "index.json").read_text())
        index["manifests"][0]["annotations"] = {"org.opencontainers.image.ref.name": "theirs"}
        (tmp_path / "index.json").write_text(json.dumps(index))
        warmer(tmp_path, now=NOW + 15 * 86400).warm(registry.reference("a:1"), AMD64)
    assert [name for name, _ in read_oci_layout(tmp_path)] == ["theirs", str(registry.reference("a:1"))]


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot write to"):
        check_writable(tmp_path / "file/cache")
    check_writable(tmp_path / "new/cache")
    assert list((tmp_path / "new/cache").iterdir()) == []


def test_cached_images_say_what_they_do(tmp_path: Path) -> None:
    with fake_registry() as registry:
        publish(registry, "a", "1", IMAGE)
        warmer(tmp_path).warm(registry.reference("a:1"), AMD64)
        progress = Recorded()
        assert isinstance(with_base_images(tmp_path, registries()), CachedImages)
        resolved(tmp_path, registry, "a:1", progress)
    assert any(f"is in {tmp_path}" in getattr(event, "text", "") for event in progress.events)
