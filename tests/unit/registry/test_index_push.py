"""Pushing an index: children first, and what a registry says that does not want it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from stand_in import Answer, Asked, FakeRegistry, error, fake_registry, registries

from builder.image.manifest import Index
from builder.image.media_types import Family
from builder.image.platform import Platform
from builder.progress import Silent
from builder.registry.errors import RegistryError
from builder.registry.index_push import IndexPush, push_index
from builder.registry.join import Join, Part, join
from builder.registry.push import Pusher
from builder.storage.image import ImageIndex
from images import make_image

PLATFORMS = (Platform("linux", "amd64"), Platform("linux", "arm64"))
IMAGES = tuple(make_image(b"shared" * 100, str(each).encode() * 100, platform=each) for each in PLATFORMS)


def index(family: Family = Family.OCI) -> ImageIndex:
    children = [replace(image.descriptor, platform=platform) for image, platform in zip(IMAGES, PLATFORMS, strict=True)]
    return ImageIndex(index=Index(family=family, manifests=tuple(children)), children=IMAGES)


def push(registry: FakeRegistry, *names: str, family: Family = Family.OCI) -> None:
    client = registries()
    with Pusher(client, Silent()) as pusher:
        push_index(pusher, client, IndexPush.of(index(family)), [registry.reference(name) for name in names])


def test_children_first_the_index_last() -> None:
    with fake_registry() as registry:
        push(registry, "a:1", "a:2", "b:1")
    puts = [asked.path for asked in registry.asked if asked.method == "PUT" and "manifests" in asked.path]
    children = [str(image.digest) for image in IMAGES]
    assert puts[-3:] == ["/v2/a/manifests/1", "/v2/a/manifests/2", "/v2/b/manifests/1"]
    assert sorted(puts[:-3]) == sorted(f"/v2/{name}/manifests/{each}" for name in "ab" for each in children)
    assert registry.manifests["b", "1"][1] == index().manifest_bytes
    last = max(number for number, asked in enumerate(registry.asked) if "blobs" in asked.path)
    assert last < min(number for number, asked in enumerate(registry.asked) if asked.path.endswith("/manifests/1"))


def test_nothing_is_tagged_where_a_child_fails() -> None:
    def refuse(asked: Asked) -> Answer | None:
        return error(403, "DENIED") if asked.method == "PUT" and str(IMAGES[1].digest) in asked.path else None

    with fake_registry(refuse) as registry, pytest.raises(RegistryError, match="403"):
        push(registry, "a:1")
    assert ("a", "1") not in registry.manifests


@pytest.mark.parametrize(
    ("answer", "other", "family"),
    [
        (error(415, "UNSUPPORTED"), "docker", Family.OCI),
        (error(400, "MANIFEST_INVALID", "manifest invalid"), "docker", Family.OCI),
        (error(405, "UNSUPPORTED"), "oci", Family.DOCKER),
        (Answer(status=422), "docker", Family.OCI),
    ],
)
def test_a_registry_that_knows_no_indexes(answer: Answer, other: str, family: Family) -> None:
    def refuse(asked: Asked) -> Answer | None:
        kind = asked.headers.get("content-type", "")
        return answer if asked.method == "PUT" and kind == family.index else None

    with fake_registry(refuse) as registry, pytest.raises(RegistryError) as caught:
        push(registry, "a:1", family=family)
    assert f"{answer.status}" in caught.value.message
    assert f"not the index that joins them ({family.index})" in caught.value.message
    assert f"({other})" in str(caught.value.hint)


@pytest.mark.parametrize("answer", [error(401, "UNAUTHORIZED"), error(403, "DENIED"), error(400, "TAG_INVALID")])
def test_other_refusals_are_what_they_are(answer: Answer) -> None:
    def refuse(asked: Asked) -> Answer | None:
        return answer if asked.method == "PUT" and asked.path.endswith("/manifests/1") else None

    with fake_registry(refuse) as registry, pytest.raises(RegistryError) as caught:
        push(registry, "a:1")
    assert "that joins them" not in caught.value.message


def test_joining_in_one_repository_moves_no_blobs() -> None:
    with fake_registry() as registry:
        push(registry, "a:1")
        parts = tuple(Part(references=(registry.reference("a").with_digest(image.digest),)) for image in IMAGES)
        before = len(registry.asked)
        pushed = join(Join(target=registry.reference("a:2"), parts=parts), registries())
        asked = registry.asked[before:]
    assert registry.manifests["a", "2"][1] == index().manifest_bytes == pushed.data
    assert [each.path for each in asked if each.method in ("PUT", "POST")] == ["/v2/a/manifests/2"]
    assert not [each for each in asked if "blobs" in each.path and each.method != "GET"]
