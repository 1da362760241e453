from __future__ import annotations

import json
from dataclasses import replace

import pytest
from stand_in import FakeRegistry, fake_registry, registries

from builder.errors import BuilderError, DigestMismatch, ManifestError
from builder.image import media_types
from builder.image.descriptor import Descriptor
from builder.image.manifest import Index
from builder.image.media_types import Family
from builder.image.platform import Platform
from builder.progress import Message, Recorded
from builder.registry.pull import resolve_image
from images import AMD64, make_image, publish

ARM64 = Platform("linux", "arm64")
UNKNOWN = Platform("unknown", "unknown")


def publish_index(registry: FakeRegistry, *platforms: Platform | None) -> dict[Platform | None, Descriptor]:
    """An index ``a:1`` with an image for each platform, and an attestation."""
    children = {}
    for number, platform in enumerate(platforms):
        image = make_image(f"layer {number}".encode(), platform=platform or AMD64)
        children[platform] = replace(publish(registry, "a", f"child{number}", image), platform=platform)
    attestation = Descriptor(media_type=media_types.OCI_MANIFEST, digest=make_image().digest, size=1, platform=UNKNOWN)
    index = Index(
        family=Family.OCI, manifests=(attestation, *children.values()) if any(platforms) else tuple(children.values())
    )
    registry.add_manifest("a", "1", media_types.OCI_INDEX, index.to_bytes())
    return children


@pytest.mark.parametrize("family", list(Family))
def test_a_single_image(family: Family) -> None:
    image = make_image(b"one", b"two", family=family)
    with fake_registry() as registry:
        publish(registry, "a/b", "1", image)
        found = resolve_image(registries(), registry.reference("a/b:1"), AMD64)
        assert found.reference == registry.reference(f"a/b:1@{image.digest}")
        assert found.manifest == image.manifest
        assert (found.manifest_bytes, found.config_bytes) == (image.manifest_bytes, image.config)
        assert [layer.descriptor for layer in found.layers] == list(image.manifest.layers)
        with found.layers[1].source.open() as stream:
            assert stream.read() == b"two"
    # nothing was downloaded that was not asked for
    assert len([asked for asked in registry.asked if "/blobs/" in asked.path]) == 2


@pytest.mark.parametrize("wanted", [AMD64, ARM64])
def test_an_index_leads_to_the_platform(wanted: Platform) -> None:
    with fake_registry() as registry:
        children = publish_index(registry, ARM64, AMD64)
        found = resolve_image(registries(), registry.reference("a:1"), wanted)
    assert found.config.platform == wanted
    assert found.reference.digest == children[wanted].digest
    assert len([asked for asked in registry.asked if "/manifests/" in asked.path]) == 2


def test_an_index_by_digest() -> None:
    with fake_registry() as registry:
        publish_index(registry, ARM64, AMD64)
        digest = registry.add_manifest("a", "x", media_types.OCI_INDEX, registry.manifests["a", "1"][1])
        assert resolve_image(registries(), registry.reference(f"a@{digest}"), ARM64).config.platform == ARM64


def test_arm_falls_back_to_an_older_variant() -> None:
    with fake_registry() as registry:
        publish_index(registry, Platform("linux", "arm", "v5"), Platform("linux", "arm", "v6"))
        found = resolve_image(registries(), registry.reference("a:1"), Platform("linux", "arm", "v7"))
    assert found.config.platform.variant == "v6"


def test_a_platform_that_is_missing_is_told_with_those_that_are_there() -> None:
    with fake_registry() as registry:
        publish_index(registry, ARM64, AMD64)
        with pytest.raises(
            ManifestError, match="has no image for linux/s390x; it has linux/amd64, linux/arm64"
        ) as caught:
            resolve_image(registries(), registry.reference("a:1"), Platform("linux", "s390x"))
    assert "unknown" not in caught.value.message


def test_a_child_without_a_platform() -> None:
    with fake_registry() as registry:
        publish_index(registry, None)
        assert resolve_image(registries(), registry.reference("a:1"), AMD64).config.platform == AMD64


def test_an_index_in_an_index() -> None:
    with fake_registry() as registry:
        publish_index(registry, AMD64)
        inner = Descriptor.of(media_types.OCI_INDEX, registry.manifests["a", "1"][1])
        registry.add_manifest("a", "1", media_types.OCI_INDEX, registry.manifests["a", "1"][1])
        outer = Index(family=Family.OCI, manifests=(replace(inner, platform=AMD64),))
        registry.add_manifest("a", "2", media_types.OCI_INDEX, outer.to_bytes())
        assert resolve_image(registries(), registry.reference("a:2"), AMD64).config.platform == AMD64


def test_another_platform_than_wanted_is_taken_as_it_is() -> None:
    """The warning is the Dockerfile's, whose FROM it is about: one is enough."""
    progress = Recorded()
    with fake_registry() as registry:
        publish(registry, "a", "1", make_image(b"x", platform=ARM64))
        found = resolve_image(registries(progress=progress), registry.reference("a:1"), AMD64)
    assert found.config.platform == ARM64
    said = [event for event in progress.events if isinstance(event, Message)]
    assert [each.level for each in said if "is for linux/arm64, not for linux/amd64" in each.text] == ["debug"]
    assert all(each.level == "debug" for each in said)


def test_a_config_that_does_not_fit_the_manifest() -> None:
    image = make_image(b"one")
    document = json.loads(image.manifest_bytes)
    document["layers"] *= 2
    with fake_registry() as registry:
        publish(registry, "a", "1", image)
        registry.add_manifest("a", "1", media_types.OCI_MANIFEST, document)
        with pytest.raises(ManifestError, match="2 layers, its config 1"):
            resolve_image(registries(), registry.reference("a:1"), AMD64)


def test_a_config_of_another_digest() -> None:
    image = make_image(b"one")
    with fake_registry() as registry:
        publish(registry, "a", "1", image)
        registry.blobs["a", str(image.manifest.config.digest)] = b" " * len(image.config)
        with pytest.raises(DigestMismatch, match="wrong content"):
            resolve_image(registries(), registry.reference("a:1"), AMD64)


@pytest.mark.parametrize(
    ("media_type", "document", "message"),
    [
        (media_types.DOCKER_SCHEMA1[1], {"schemaVersion": 1}, "schema 1"),
        ("application/json", {"config": 7, "layers": []}, "invalid descriptor"),
        (media_types.OCI_MANIFEST, b"<html>", "not JSON"),
        (media_types.OCI_INDEX, {"manifests": []}, "no platform at all"),
        ("application/vnd.cncf.helm.config.v1+json", {}, "not an image"),
        (
            media_types.OCI_MANIFEST,
            {"config": {"mediaType": "x", "digest": f"sha256:{'0' * 64}", "size": 1 << 40}, "layers": []},
            "larger than 16777216 bytes",
        ),
    ],
)
def test_what_is_no_image(media_type: str, document: object, message: str) -> None:
    with fake_registry() as registry:
        registry.add_manifest("a", "1", media_type, document)
        with pytest.raises(BuilderError, match=message):
            resolve_image(registries(), registry.reference("a:1"), AMD64)
