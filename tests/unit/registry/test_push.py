from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from stand_in import QUICK, Answer, Asked, FakeRegistry, error, fake_registry, registries

from builder.digest import Digest, Readable
from builder.engine.export import write_digests
from builder.engine.request import Outputs
from builder.errors import StorageError
from builder.image.descriptor import Descriptor
from builder.image.media_types import DOCKER_LAYER_FOREIGN
from builder.image.reference import Reference
from builder.progress import Silent
from builder.registry.errors import Cancelled, RegistryError
from builder.registry.policy import RegistryPolicy
from builder.registry.push import Pusher, first_repositories
from builder.storage.blob import Blob, MemoryBlob
from images import make_image, publish

IMAGE = make_image(b"one" * 1000, b"two" * 1000, b"three" * 1000)


def pusher(jobs: int = 4) -> Pusher:
    return Pusher(registries(), Silent(), jobs)


@pytest.mark.parametrize("jobs", [1, 4])
def test_blobs_first_the_tag_last(jobs: int) -> None:
    with fake_registry() as registry, pusher(jobs) as push:
        push.finish(IMAGE, [registry.reference("a:1")])
    assert registry.manifests["a", "1"][1] == IMAGE.manifest_bytes
    assert len(registry.blobs) == 4
    assert [str(asked) for asked in registry.asked][-1] == "PUT /v2/a/manifests/1"
    assert sum("manifests" in asked.path for asked in registry.asked) == 1


def test_what_was_started_is_not_sent_twice() -> None:
    with fake_registry() as registry, pusher() as push:
        for _ in range(3):
            push.start(IMAGE.layers[0], registry.reference("a:1"))
        push.finish(IMAGE, [registry.reference("a:1")])
    assert sum(asked.method == "PUT" and "blobs" in asked.path for asked in registry.asked) == 4
    assert sum(asked.method == "HEAD" for asked in registry.asked) == 4


def test_several_destinations() -> None:
    with FakeRegistry() as one, FakeRegistry() as two, pusher() as push:
        push.finish(IMAGE, [one.reference("a:1"), one.reference("a:2"), one.reference("b:1"), two.reference("a:1")])
    assert sorted(name for name in one.manifests) == [("a", "1"), ("a", "2"), ("b", "1")]
    assert list(two.manifests) == [("a", "1")]
    uploads = [asked.path for asked in one.asked if asked.method == "PUT" and "blobs" in asked.path]
    assert uploads == ["/v2/a/blobs/uploads/1"] * 4
    assert sum(asked.query.get("from") == "a" for asked in one.asked) == 4
    assert sum(asked.method == "PUT" and "blobs" in asked.path for asked in two.asked) == 4


def test_nothing_is_tagged_where_a_blob_fails() -> None:
    last = str(IMAGE.layers[2].descriptor.digest)

    def refuse(asked: Asked) -> Answer | None:
        return error(403, "DENIED") if asked.query.get("digest") == last else None

    with FakeRegistry() as good, FakeRegistry(refuse) as bad, pusher() as push:
        with pytest.raises(RegistryError, match=f"cannot push blob {last}"):
            push.finish(IMAGE, [good.reference("a:1"), bad.reference("a:1")])
    assert good.manifests == bad.manifests == {}


def test_the_first_error_is_raised_early() -> None:
    failed = threading.Event()

    def refuse(asked: Asked) -> Answer:
        failed.set()
        return error(403, "DENIED")

    with fake_registry(refuse) as registry, pusher() as push:
        push.start(IMAGE.layers[0], registry.reference("a:1"))
        assert failed.wait(10)
        with pytest.raises(RegistryError, match="403"):
            push.finish(IMAGE, [registry.reference("a:1")])
        with pytest.raises(RegistryError, match="403"):
            push.start(IMAGE.layers[1], registry.reference("a:1"))


class Broken:
    @contextmanager
    def open(self) -> Iterator[Readable]:
        raise StorageError("the layer is gone")
        yield


def test_an_error_of_a_source_is_the_error() -> None:
    layers = (IMAGE.layers[0], replace(IMAGE.layers[1], source=Broken()), IMAGE.layers[2])
    with fake_registry() as registry, pusher() as push, pytest.raises(StorageError, match="the layer is gone"):
        push.finish(replace(IMAGE, layers=layers), [registry.reference("a:1")])
    assert registry.manifests == {}


def test_a_layer_that_may_not_be_distributed_stays_where_it_is() -> None:
    descriptor = Descriptor(
        media_type=DOCKER_LAYER_FOREIGN, digest=Digest.of(b"x"), size=1, urls=("https://elsewhere.example/x",)
    )
    with fake_registry() as registry, pusher() as push:
        push.start(Blob(descriptor=descriptor, source=Broken()), registry.reference("a:1"))
        push.finish(IMAGE, [registry.reference("a:1")])
    assert str(descriptor.digest) not in {digest for _, digest in registry.blobs}


def test_a_blob_that_has_vanished_is_pushed_again() -> None:
    lost = ("a", str(IMAGE.layers[1].descriptor.digest))

    def collect_garbage(asked: Asked) -> Answer | None:
        if "manifests" in asked.path and lost_once:
            lost_once.pop()
            del registry.blobs[lost]
            return error(400, "MANIFEST_BLOB_UNKNOWN")
        return None

    lost_once = [1]
    with fake_registry(collect_garbage) as registry, pusher() as push:
        push.finish(IMAGE, [registry.reference("a:1")])
    assert lost in registry.blobs
    assert ("a", "1") in registry.manifests


class Endless:
    """A source that never ends by itself; `begun` is set when its reading begins."""

    def __init__(self) -> None:
        self.begun = threading.Event()

    @contextmanager
    def open(self) -> Iterator[Readable]:
        yield self

    def read(self, size: int = -1, /) -> bytes:
        self.begun.set()
        return bytes(1000)


def test_leaving_stops_what_runs() -> None:
    before = threading.active_count()
    source = Endless()
    descriptor = Descriptor(media_type="", digest=Digest.of(b""), size=1 << 50)
    with fake_registry() as registry:
        with pytest.raises(KeyboardInterrupt), pusher() as push:
            push.start(Blob(descriptor=descriptor, source=source), registry.reference("a:1"))
            assert source.begun.wait(10)
            raise KeyboardInterrupt
        assert not any(thread.name.startswith("push-") for thread in threading.enumerate()), before
        with pytest.raises(Cancelled):
            push.finish(IMAGE, [registry.reference("a:1")])
    assert registry.manifests == {}


def test_a_config_is_a_blob_like_others() -> None:
    blob = IMAGE.config_blob
    assert isinstance(blob.source, MemoryBlob)
    assert blob.descriptor == IMAGE.manifest.config


def test_first_repositories() -> None:
    names = ["a.example/x:1", "b.example/y:1", "a.example/z:1", "a.example/x:2"]
    first = first_repositories([Reference.parse(name) for name in names])
    assert [str(each) for each in first] == ["a.example/x:1", "b.example/y:1"]


@pytest.mark.parametrize("told", [True, False])
def test_a_tag_that_stays_what_it_was_is_told(told: bool, tmp_path: Path) -> None:
    """Of two destinations one may not be moved; the files say what is where."""
    old = make_image(b"old")

    def refuse(asked: Asked) -> Answer | None:
        if asked.method == "HEAD" and asked.path.endswith("/manifests/kept") and told:
            return Answer(headers={"Docker-Content-Digest": str(old.digest)})
        moved = asked.method == "PUT" and asked.path.endswith("/manifests/kept")
        return error(412, "PRECONDITION", "configured as immutable") if moved else None

    with fake_registry(refuse) as registry:
        publish(registry, "a", "kept", old)
        client = registries(RegistryPolicy(backoff=QUICK, ignore_immutable_tags=True))
        destinations = registry.reference("a:kept"), registry.reference("a:new")
        with Pusher(client, Silent()) as push:
            push.finish(IMAGE, destinations)
    assert client.kept == {destinations[0]: old.digest}
    outputs = Outputs(
        destinations=destinations, digest_file=tmp_path / "digest", image_name_tag_with_digest_file=tmp_path / "names"
    )
    write_digests(outputs, IMAGE.digest, client.kept)
    assert (tmp_path / "digest").read_text() == str(IMAGE.digest)
    assert (tmp_path / "names").read_text().splitlines() == [
        f"{registry.host}/a:kept@{old.digest}",
        f"{registry.host}/a:new@{IMAGE.digest}",
    ]
