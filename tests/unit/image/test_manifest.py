"""Manifests, indexes and descriptors: what is written is read, and what is not valid has a clear error."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builder.digest import Digest
from builder.errors import BuilderError, ManifestError
from builder.image import media_types
from builder.image.descriptor import Descriptor
from builder.image.manifest import MAX_MANIFEST_BYTES, Index, Manifest, encode, parse_manifest
from builder.image.media_types import Family, layer_family
from builder.image.platform import Platform

DIGEST = Digest.of(b"x")


def descriptor(media_type: str = media_types.OCI_LAYER_GZIP, size: int = 1, **more: Any) -> Descriptor:
    return Descriptor(media_type=media_type, digest=DIGEST, size=size, **more)


@pytest.mark.parametrize("family", Family)
def test_manifests(family: Family) -> None:
    manifest = Manifest(
        family=family,
        config=descriptor(family.config),
        layers=(descriptor(family.layer("gzip"), 5), descriptor(family.layer("none"), urls=("https://x",))),
        annotations={"b": "2", "a": "1"},
    )
    data = manifest.to_bytes()
    assert parse_manifest(data, None, "x") == manifest
    document = json.loads(data)
    assert (document["schemaVersion"], document["mediaType"]) == (2, family.manifest)
    assert list(document["annotations"]) == ["a", "b"]
    assert document["layers"][0] == {"mediaType": family.layer("gzip"), "digest": str(DIGEST), "size": 5}
    assert b" " not in data and b"\n" not in data


@pytest.mark.parametrize("family", Family)
def test_indexes(family: Family) -> None:
    children = (
        descriptor(family.manifest, platform=Platform("linux", "arm", "v7"), annotations={"k": "v"}),
        descriptor(family.manifest, platform=Platform("linux", "amd64")),
    )
    index = Index(family=family, manifests=children, annotations={"a": "1"})
    assert parse_manifest(index.to_bytes(), None, "x") == index
    document = json.loads(index.to_bytes())
    assert document["mediaType"] == family.index
    assert document["manifests"][0]["platform"] == {"architecture": "arm", "os": "linux", "variant": "v7"}
    assert document["manifests"][1]["platform"] == {"architecture": "amd64", "os": "linux"}


def test_the_same_manifest_gives_the_same_bytes() -> None:
    one = Manifest(family=Family.OCI, config=descriptor(), layers=(), annotations={"a": "1", "b": "2"})
    other = Manifest(family=Family.OCI, config=descriptor(), layers=(), annotations={"b": "2", "a": "1"})
    assert one.to_bytes() == other.to_bytes()


def test_text_stays_text() -> None:
    assert encode({"a": "ä☺<&>"}) == '{"a":"ä☺<&>"}'.encode()


CONFIG = {"mediaType": media_types.OCI_CONFIG, "digest": str(DIGEST), "size": 2}


@pytest.mark.parametrize(
    ("document", "content_type", "kind", "family"),
    [
        ({"config": CONFIG, "layers": []}, None, Manifest, Family.OCI),
        ({"manifests": []}, None, Index, Family.OCI),
        ({"config": CONFIG, "layers": []}, media_types.DOCKER_MANIFEST, Manifest, Family.DOCKER),
        ({"manifests": []}, f"{media_types.DOCKER_MANIFEST_LIST}; charset=utf-8", Index, Family.DOCKER),
        ({"mediaType": media_types.OCI_INDEX, "manifests": []}, media_types.DOCKER_MANIFEST, Index, Family.OCI),
        ({"mediaType": "", "config": CONFIG, "layers": []}, media_types.OCI_MANIFEST, Manifest, Family.OCI),
    ],
)  # fmt: skip
def test_what_kind_it_is(document: dict[str, Any], content_type: str | None, kind: type, family: Family) -> None:
    found = parse_manifest(json.dumps({"schemaVersion": 2, **document}).encode(), content_type, "x")
    assert isinstance(found, kind)
    assert found.family is family


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "the manifest of x is not JSON"),
        (b"<html>", "the manifest of x is not JSON"),
        (b"\xff\xfe{", "the manifest of x is not JSON"),
        (b"[" * 100_000, "the manifest of x is not JSON"),
        (b"[]", "the manifest of x is not a JSON object"),
        (b'"x"', "the manifest of x is not a JSON object"),
        (b"{}", "x is not an image: its media type is ''"),
        (b'{"mediaType": "application/json"}', "x is not an image: its media type is 'application/json'"),
        (b'{"mediaType": 5}', "x is not an image"),
        (b'{"mediaType": ["a"]}', "x is not an image"),
        (b'{"schemaVersion": 1, "fsLayers": []}', "schema 1"),
        (b'{"config": null, "layers": []}', "invalid descriptor"),
        (b'{"config": {}, "layers": []}', "invalid descriptor"),
        (b'{"config": 5, "layers": []}', "invalid descriptor"),
        (b'{"config": {"digest": 5, "size": 1}, "layers": []}', "invalid descriptor"),
        (b'{"config": {"digest": "sha256:x", "size": 1}, "layers": []}', "invalid descriptor"),
        (json.dumps({"config": CONFIG}).encode(), "has no list of layers"),
        (json.dumps({"config": CONFIG, "layers": {}}).encode(), "has no list of layers"),
        (json.dumps({"config": CONFIG, "layers": [None]}).encode(), "invalid descriptor"),
        (b'{"manifests": null}', "has no list of manifests"),
        (b" " * (MAX_MANIFEST_BYTES + 1), "is larger than"),
    ],
)
def test_what_is_not_valid(data: bytes, message: str) -> None:
    with pytest.raises(ManifestError) as caught:
        parse_manifest(data, None, "x")
    assert message in caught.value.message


@pytest.mark.parametrize("size", ["-1", '"5"', "1.5", "1e999", "null", "true1", "[]"])
def test_sizes_that_are_none(size: str) -> None:
    data = f'{{"config": {{"digest": "{DIGEST}", "size": {size}}}, "layers": []}}'
    with pytest.raises(ManifestError):
        parse_manifest(data.encode(), None, "x")


@pytest.mark.parametrize("platform", [{"os": "linux"}, {"architecture": "amd64"}, "linux/amd64", ["linux"], 7])
def test_platforms_that_are_not_complete(platform: Any) -> None:
    child = {"mediaType": media_types.OCI_MANIFEST, "digest": str(DIGEST), "size": 1, "platform": platform}
    with pytest.raises(ManifestError):
        parse_manifest(json.dumps({"manifests": [child]}).encode(), None, "x")


def test_an_unknown_platform_is_a_platform() -> None:
    child = {"digest": str(DIGEST), "size": 1, "platform": {"os": "unknown", "architecture": "unknown"}}
    index = parse_manifest(json.dumps({"manifests": [child]}).encode(), None, "x")
    assert isinstance(index, Index)
    assert index.manifests[0].platform == Platform("unknown", "unknown")


def test_annotations_of_the_wrong_type_are_left_out() -> None:
    found = parse_manifest(json.dumps({"config": CONFIG, "layers": [], "annotations": ["x"]}).encode(), None, "x")
    assert found.annotations == {}


json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5), st.just(str(DIGEST))),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from(
                ["mediaType", "config", "layers", "manifests", "digest", "size", "platform", "os", "architecture",
                 "annotations", "urls", "schemaVersion"]
            ),
            inner,
            max_size=5,
        ),
    ),
    max_leaves=12,
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(json_values, st.sampled_from([None, *media_types.MANIFESTS, *media_types.INDEXES]))
def test_any_json_is_a_manifest_or_a_clear_error(document: Any, content_type: str | None) -> None:
    try:
        found = parse_manifest(json.dumps(document).encode(), content_type, "x")
    except BuilderError:
        return
    assert isinstance(found, (Manifest, Index))


def test_the_descriptor_of_data() -> None:
    assert Descriptor.of("text/plain", b"abc") == Descriptor(media_type="text/plain", digest=Digest.of(b"abc"), size=3)


@pytest.mark.parametrize(
    ("media_type", "family", "expected"),
    [
        (media_types.OCI_LAYER_GZIP, Family.DOCKER, media_types.DOCKER_LAYER_GZIP),
        (media_types.DOCKER_LAYER_GZIP, Family.OCI, media_types.OCI_LAYER_GZIP),
        (media_types.OCI_LAYER, Family.DOCKER, media_types.DOCKER_LAYER),
        (media_types.DOCKER_LAYER, Family.OCI, media_types.OCI_LAYER),
        (media_types.OCI_LAYER_GZIP, Family.OCI, media_types.OCI_LAYER_GZIP),
        (media_types.OCI_LAYER_ZSTD, Family.OCI, media_types.OCI_LAYER_ZSTD),
        (media_types.OCI_LAYER_ZSTD, Family.DOCKER, media_types.OCI_LAYER_ZSTD),
        (media_types.DOCKER_LAYER_FOREIGN, Family.OCI, media_types.OCI_LAYER_FOREIGN),
        (media_types.OCI_LAYER_FOREIGN, Family.DOCKER, media_types.DOCKER_LAYER_FOREIGN),
        (media_types.OCI_LAYER_FOREIGN, Family.OCI, media_types.OCI_LAYER_FOREIGN),
        ("text/plain", Family.OCI, "text/plain"),
    ],
)
def test_layers_in_another_family(media_type: str, family: Family, expected: str) -> None:
    assert layer_family(media_type, family) == expected


def test_families() -> None:
    assert Family.of(media_types.DOCKER_MANIFEST) is Family.DOCKER
    assert Family.of(media_types.OCI_INDEX) is Family.OCI
    with pytest.raises(KeyError):
        Family.DOCKER.layer("zstd")
