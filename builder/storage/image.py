"""An image that is complete: manifest, config, and where its layers are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from builder.digest import Digest
from builder.errors import ManifestError
from builder.image.descriptor import Descriptor
from builder.image.manifest import Index, Manifest
from builder.storage.blob import Blob, MemoryBlob


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """What is pushed, or written to an archive.

    Attributes:
        config: the bytes of the config blob that the manifest names.
        layers: one for each layer of the manifest, in its order.
        manifest_bytes: the manifest as it is pushed. Left empty it is written from `manifest`; given, it passes
            through byte for byte.
    """

    manifest: Manifest
    config: bytes
    layers: tuple[Blob, ...]
    manifest_bytes: bytes = b""

    def __post_init__(self) -> None:
        """Raises ManifestError if config or layers are not the manifest's."""
        if not self.manifest_bytes:
            object.__setattr__(self, "manifest_bytes", self.manifest.to_bytes())
        _check(self.manifest, self.config, self.layers)

    @property
    def digest(self) -> Digest:
        """The image's digest: that of its manifest."""
        return Digest.of(self.manifest_bytes)

    @property
    def descriptor(self) -> Descriptor:
        """What an index says of this image, without its platform."""
        return Descriptor.of(self.manifest.family.manifest, self.manifest_bytes)

    @property
    def config_blob(self) -> Blob:
        """The config, as a blob that can be pushed."""
        return Blob(descriptor=self.manifest.config, source=MemoryBlob(self.config))


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageIndex:
    """Images of several platforms under one name.

    Attributes:
        children: one for each entry of the index, in its order.
        manifest_bytes: the index as it is pushed. Left empty it is written from `index`; given, it passes through.
    """

    index: Index
    children: tuple[Image, ...]
    manifest_bytes: bytes = b""

    def __post_init__(self) -> None:
        """Raises ManifestError if the children are not the index's."""
        if not self.manifest_bytes:
            object.__setattr__(self, "manifest_bytes", self.index.to_bytes())
        if [child.digest for child in self.index.manifests] != [image.digest for image in self.children]:
            raise ManifestError("the index names other images than its children")

    @property
    def images(self) -> tuple[Image, ...]:
        """The children that are images, and not about one (platform ``unknown/unknown``)."""
        pairs = zip(self.children, self.index.manifests, strict=True)
        return tuple(child for child, entry in pairs if not entry.platform or entry.platform.os != "unknown")

    @property
    def digest(self) -> Digest:
        return Digest.of(self.manifest_bytes)

    @property
    def descriptor(self) -> Descriptor:
        return Descriptor.of(self.index.family.index, self.manifest_bytes)


class Pushable(Protocol):
    """What a registry is given: a manifest, and the blobs that it names."""

    @property
    def layers(self) -> tuple[Blob, ...]: ...

    @property
    def config_blob(self) -> Blob: ...

    @property
    def manifest_bytes(self) -> bytes: ...

    @property
    def descriptor(self) -> Descriptor: ...


def _check(manifest: Manifest, config: bytes, layers: Sequence[Blob]) -> None:
    expected = [layer.digest for layer in manifest.layers]
    if [layer.descriptor.digest for layer in layers] != expected:
        raise ManifestError(f"the manifest names {len(expected)} layers that are not the {len(layers)} of the image")
    if manifest.config.digest.algorithm == "sha256" and Digest.of(config) != manifest.config.digest:
        raise ManifestError(f"the manifest names config {manifest.config.digest}, not {Digest.of(config)}")
