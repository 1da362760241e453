from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from entries import KEY, NOW, OTHER, WORKS, at, content, eventually, result, warnings
from stand_in import RESET, Answer, Asked, FakeRegistry, error, fake_registry, registries

from builder.cache.freshness import Freshness
from builder.cache.registry import RegistryCache
from builder.digest import Digest
from builder.errors import Interrupted, LayerError
from builder.image.media_types import Family
from builder.image.reference import Reference
from builder.progress import Recorded

DAY = 86400.0


@contextmanager
def cache(
    registry: FakeRegistry, progress: Recorded | None = None, *, now: float = NOW, stores: bool = True
) -> Iterator[RegistryCache]:
    progress = progress or Recorded()
    client = registries(progress=progress)
    freshness = Freshness(ttl=14 * DAY, now=at(now))
    repository = registry.reference("group/app/cache")
    with RegistryCache(repository, client, client if stores else None, WORKS, freshness, progress) as made:
        yield made


def stored(registry: FakeRegistry, **changes: int) -> None:
    with cache(registry) as filled:
        filled.store(KEY, result(**changes))
    registry.asked.clear()


@pytest.mark.parametrize("family", list(Family))
def test_what_was_stored_is_found(family: Family) -> None:
    with fake_registry() as registry:
        with cache(registry) as first:
            assert first.lookup(KEY) is None
            first.store(KEY, result(family=family))
        with cache(registry) as second:
            found = second.lookup(KEY)
            assert second.lookup(OTHER) is None
            assert content(found) == b"a tar"
    kept = result(family=family)
    assert found is not None
    assert (found.blob.descriptor, found.diff_id, found.created) == (kept.blob.descriptor, kept.diff_id, kept.created)
    assert (found.identity, found.below, found.work) == (kept.identity, kept.below, kept.work)
    assert found.instruction == "RUN make all"
    assert found.blob.origin == registry.reference("group/app/cache")
    assert found.origin == str(registry.reference(f"group/app/cache:{KEY}"))


def test_an_entry_is_an_image_as_tools_know_it() -> None:
    with fake_registry() as registry:
        stored(registry)
        media_type, data = registry.manifests["group/app/cache", KEY.hex]
        manifest = json.loads(data)
        config = json.loads(registry.blobs["group/app/cache", manifest["config"]["digest"]])
    assert media_type == manifest["mediaType"] == "application/vnd.oci.image.manifest.v1+json"
    assert [layer["digest"] for layer in manifest["layers"]] == [str(result().blob.descriptor.digest)]
    assert config["rootfs"] == {"type": "layers", "diff_ids": [str(result().diff_id)]}
    assert config["created"] == "2023-11-14T22:13:20Z"
    assert config["architecture"] and config["os"] == "linux"


def test_a_lookup_downloads_no_layer() -> None:
    with fake_registry() as registry:
        stored(registry)
        with cache(registry) as asked:
            assert asked.lookup(KEY)
    layer = f"/blobs/{result().blob.descriptor.digest}"
    assert [each.method for each in registry.asked if layer in each.path] == ["HEAD"]


def test_an_entry_whose_layer_is_gone_is_a_miss() -> None:
    progress = Recorded()
    with fake_registry() as registry:
        stored(registry)
        del registry.blobs["group/app/cache", str(result().blob.descriptor.digest)]
        with cache(registry, progress) as asked:
            assert asked.lookup(KEY) is None
    assert len(warnings(progress)) == 1
    assert "no longer the layer" in warnings(progress)[0]


@pytest.mark.parametrize(
    ("age", "found"), [(0, True), (13.9, True), (14.1, False), (-1, True), (-13.9, True), (-14.1, False)]
)
def test_the_time_to_live(age: float, found: bool) -> None:
    """A negative age is that of an entry made by a machine whose clock is ahead."""
    progress = Recorded()
    with fake_registry() as registry:
        stored(registry)
        with cache(registry, progress, now=NOW + age * DAY) as asked:
            assert (asked.lookup(KEY) is not None) is found
    assert warnings(progress) == []


def test_a_registry_that_does_not_answer_is_asked_once() -> None:
    progress = Recorded()
    with fake_registry(lambda _: RESET) as registry, cache(registry, progress) as asked:
        assert asked.lookup(KEY) is None
        before = len(registry.asked)
        assert asked.lookup(OTHER) is None
        assert len(registry.asked) == before > 0
    told = [text for text in warnings(progress) if "trying again" not in text]
    assert len(told) == 1
    assert "group/app/cache are not used" in told[0]


@pytest.mark.parametrize("status", [401, 403, 500])
def test_a_registry_that_refuses_costs_one_warning_each_way(status: int) -> None:
    progress = Recorded()
    with fake_registry(lambda _: error(status, "DENIED")) as registry, cache(registry, progress) as refused:
        for key in (KEY, OTHER):
            assert refused.lookup(key) is None
            refused.store(key, result())
        refused.finish()
    told = [text for text in warnings(progress) if "trying again" not in text]
    assert len([text for text in told if "are not used" in text]) == 1
    assert len([text for text in told if "are not stored" in text]) == 1
    assert len(told) == 2


def html(asked: Asked) -> Answer | None:
    page = Answer(headers={"Content-Type": "text/html"}, body=b"<html>log in first</html>")
    return page if asked.method in ("GET", "HEAD") else None


def foreign(change: str) -> bytes:
    """The manifest of an entry with something else in it."""
    kept = result()
    layer = {"mediaType": kept.blob.descriptor.media_type, "digest": str(kept.blob.descriptor.digest), "size": 1}
    config = {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": str(Digest.of(b"{}")), "size": 2}
    document = {"schemaVersion": 2, "config": config, "layers": [layer]}
    match change:
        case "two layers":
            document["layers"] = [layer, layer]
        case "no layer":
            document["layers"] = []
        case "an artifact":
            layer["mediaType"] = "application/x-helm"
        case "a digest that is none":
            layer["digest"] = "sha256:../../../etc/passwd"
        case "an index":
            document = {"schemaVersion": 2, "manifests": []}
    return json.dumps(document).encode()


FOREIGN = ("a config without labels", "two layers", "no layer", "an artifact", "a digest that is none", "an index")


@pytest.mark.parametrize("change", FOREIGN)
def test_an_entry_of_another_form_is_a_miss_with_a_warning(change: str) -> None:
    progress = Recorded()
    with fake_registry() as registry:
        stored(registry)
        registry.add_blob("group/app/cache", b"{}")
        registry.add_manifest("group/app/cache", KEY.hex, "", foreign(change))
        with cache(registry, progress) as asked:
            assert asked.lookup(KEY) is None
            asked.store(KEY, result())
            asked.finish()
            assert content(asked.lookup(KEY)) == b"a tar"
    assert len(warnings(progress)) == 1


def test_an_html_page_is_a_miss_and_soon_asked_no_more() -> None:
    progress = Recorded()
    with fake_registry(html) as registry, cache(registry, progress, stores=False) as asked:
        for _ in range(5):
            assert asked.lookup(KEY) is None
        assert len([each for each in registry.asked if each.method == "GET"]) == 3
    assert len(warnings(progress)) == 3
    assert "are not used from now on" in warnings(progress)[-1]


@pytest.mark.parametrize("part", ["manifest", "config"])
def test_a_poisoned_entry_is_a_miss(part: str) -> None:
    """Other bytes than the digest says."""
    progress = Recorded()
    with fake_registry() as registry:
        stored(registry)
        _, data = registry.manifests["group/app/cache", KEY.hex]
        config = json.loads(data)["config"]["digest"]

        def poisoned(asked: Asked) -> Answer | None:
            if part == "manifest" and "/manifests/" in asked.path:
                return Answer(headers={"Docker-Content-Digest": str(Digest.of(b"x"))}, body=data)
            if part == "config" and asked.path.endswith(config):
                size = len(registry.blobs["group/app/cache", config])
                return Answer(body=registry.blobs["group/app/cache", config].replace(b"make", b"rake")[:size])
            return None

        registry.before = poisoned
        with cache(registry, progress) as asked:
            assert asked.lookup(KEY) is None
    assert len(warnings(progress)) == 1


def test_a_layer_of_other_bytes_is_noticed_when_it_is_read() -> None:
    with fake_registry() as registry:
        stored(registry)
        digest = str(result().blob.descriptor.digest)
        size = len(registry.blobs["group/app/cache", digest])
        registry.blobs["group/app/cache", digest] = bytes(size)
        with cache(registry) as asked:
            found = asked.lookup(KEY)
            with pytest.raises(Exception, match="wrong content"):
                content(found)


def test_nothing_is_stored_that_was_not_asked_for() -> None:
    with fake_registry() as registry, cache(registry, stores=False) as asked:
        asked.store(KEY, result())
        asked.finish()
        assert registry.asked == []


def test_the_same_result_is_stored_once() -> None:
    with fake_registry() as registry:
        with cache(registry) as filled:
            for _ in range(3):
                filled.store(KEY, result())
            filled.store(OTHER, result())
        put = [each.path.rpartition("/")[2] for each in registry.asked if each.method == "PUT"]
    assert sorted(name for name in put if len(name) == 64) == [KEY.hex, OTHER.hex]
    assert len([each for each in registry.asked if each.method == "PUT" and "uploads" in each.path]) <= 3


def test_a_layer_goes_to_the_registry_once_and_is_mounted_where_it_is_wanted_too() -> None:
    """The build pushes it at the same time as it is cached."""
    progress = Recorded()
    with fake_registry() as registry:
        client = registries(progress=progress)
        repository = registry.reference("app/cache")
        freshness = Freshness(ttl=DAY, now=at())
        with RegistryCache(repository, client, client, WORKS, freshness, progress) as filled:
            filled.store(KEY, result())
            client.push_blob(result().blob, registry.reference("app"))
        digest = str(result().blob.descriptor.digest)
        uploads = [each for each in registry.asked if each.method == "PUT" and each.query.get("digest") == digest]
        mounts = [each for each in registry.asked if each.query.get("mount") == digest]
    assert len(uploads) == 1
    assert len(mounts) == 1
    assert {repository for repository, blob in registry.blobs if blob == digest} == {"app", "app/cache"}


def test_the_manifest_is_stored_when_all_else_is_there() -> None:
    with fake_registry() as registry, cache(registry) as filled:
        filled.store(KEY, result())
        filled.finish()
        assert "/manifests/" in registry.asked[-1].path
        assert registry.asked[-1].method == "PUT"


@pytest.mark.parametrize("failure", [None, LayerError("a step failed")])
def test_leaving_waits_for_what_is_being_stored(failure: Exception | None) -> None:
    """What has been built before something failed is wanted by the next build."""
    held, entered = threading.Event(), threading.Event()

    def slowly(asked: Asked) -> Answer | None:
        if asked.method == "PUT" and "/manifests/" in asked.path:
            entered.set()
            held.wait(20)
        return None

    with fake_registry(slowly) as registry:

        def build() -> None:
            with cache(registry) as filled:
                filled.store(KEY, result())
                if failure:
                    raise failure

        thread = threading.Thread(target=lambda: _quietly(build))
        thread.start()
        assert entered.wait(20)
        assert thread.is_alive()
        held.set()
        thread.join(20)
        assert ("group/app/cache", KEY.hex) in registry.manifests


def test_an_interrupt_waits_for_nothing() -> None:
    held, entered = threading.Event(), threading.Event()

    def hangs(asked: Asked) -> Answer | None:
        if asked.method == "POST":
            entered.set()
            held.wait(20)
        return None

    with fake_registry(hangs) as registry:
        with pytest.raises(Interrupted), cache(registry) as filled:
            filled.store(KEY, result())
            assert entered.wait(20)
            raise Interrupted(2, "SIGINT")
        held.set()
        assert ("group/app/cache", KEY.hex) not in registry.manifests


def test_two_jobs_fill_the_same_cache() -> None:
    with fake_registry() as registry:
        with cache(registry) as one, cache(registry) as two:
            for number in range(20):
                key = type(KEY)(f"{number:064x}")
                one.store(key, result(b"layer %d" % number))
                two.store(key, result(b"layer %d" % number))
        with cache(registry) as asked:
            found = [content(asked.lookup(type(KEY)(f"{number:064x}"))) for number in range(20)]
    assert found == [b"layer %d" % number for number in range(20)]


def test_many_lookups_at_once() -> None:
    with fake_registry() as registry:
        stored(registry)
        with cache(registry) as asked:
            results: list[bytes] = []
            threads = [threading.Thread(target=lambda: results.append(content(asked.lookup(KEY)))) for _ in range(16)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(20)
    assert results == [b"a tar"] * 16


def test_kinds_that_are_not_kept() -> None:
    client = registries()
    freshness = Freshness(ttl=DAY)
    with RegistryCache(Reference.parse("example.com/a"), client, None, {"run"}, freshness, Recorded()) as made:
        assert made.accepts("run")
        assert not made.accepts("copy")
        assert not made.near


def _quietly(action: object) -> None:
    try:
        assert callable(action)
        action()
    except LayerError:
        return


def test_eventually_notices_what_never_comes() -> None:
    with pytest.raises(AssertionError, match="never"):
        eventually(lambda: False, 0.01)
