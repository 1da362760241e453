"""Small images, on a fake registry or in memory."""

from __future__ import annotations

from stand_in import FakeRegistry

from builder.digest import Digest
from builder.image.config import ImageConfig
from builder.image.descriptor import Descriptor
from builder.image.manifest import Manifest
from builder.image.media_types import Family
from builder.image.platform import Platform
from builder.storage.blob import Blob, MemoryBlob
from builder.storage.image import Image

AMD64 = Platform("linux", "amd64")


def make_image(*layers: bytes, platform: Platform = AMD64, family: Family = Family.OCI) -> Image:
    """An image whose layers are these bytes; they need not be tars."""
    config = ImageConfig(platform=platform, diff_ids=tuple(Digest.of(layer) for layer in layers)).to_bytes()
    blobs = tuple(
        Blob(descriptor=Descriptor.of(family.layer("none"), layer), source=MemoryBlob(layer)) for layer in layers
    )
    manifest = Manifest(
        family=family,
        config=Descriptor.of(family.config, config),
        layers=tuple(blob.descriptor for blob in blobs),
    )
    return Image(manifest=manifest, config=config, layers=blobs)


def publish(registry: FakeRegistry, repository: str, tag: str, image: Image) -> Descriptor:
    """Put all of `image` into the registry's memory."""
    registry.add_blob(repository, image.config)
    for layer in image.layers:
        with layer.source.open() as stream:
            registry.add_blob(repository, stream.read())
    registry.add_manifest(repository, tag, image.manifest.family.manifest, image.manifest_bytes)
    return image.descriptor
