"""From a reference to the image of one platform: manifest and config, and where its layers are."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Protocol

from builder.digest import Readable
from builder.errors import DigestMismatch, ManifestError, StorageError
from builder.image.config import ImageConfig
from builder.image.descriptor import Descriptor
from builder.image.manifest import Index, Manifest, parse_manifest
from builder.image.platform import Platform, best_match
from builder.image.reference import Reference
from builder.progress import Progress, log
from builder.registry.client import FetchedManifest
from builder.storage.blob import Blob
from builder.storage.blobs import BlobStore

MAX_CONFIG_BYTES = 16 * 1024 * 1024
_MAX_NESTING = 4


class Images(Protocol):
    """Where images come from: registries, or a cache before them. The methods are those of Registries."""

    @property
    def progress(self) -> Progress: ...

    def manifest_once(self, reference: Reference, /) -> FetchedManifest: ...

    def open_blob(self, repository: Reference, descriptor: Descriptor, /) -> AbstractContextManager[Readable]: ...

    def blob(self, repository: Reference, descriptor: Descriptor, /) -> Blob: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteImage:
    """An image in a registry; its layers are not downloaded.

    Attributes:
        reference: where it is, with the digest of its own manifest (not of an index that led to it).
    """

    reference: Reference
    manifest: Manifest
    manifest_bytes: bytes = field(repr=False)
    config: ImageConfig
    config_bytes: bytes = field(repr=False)
    layers: tuple[Blob, ...]


def resolve_image(
    registries: Images, reference: Reference, platform: Platform, kept: BlobStore | None = None
) -> RemoteImage:
    """The image that `reference` has for `platform`.

    Its config is taken from `kept`, if it is there, else kept there.

    An index is followed to the child that serves the platform best. A single image is taken as it is, whatever it is
    for.

    Raises RegistryError, ManifestError (no such platform, not an image), DigestMismatch.
    """
    for _ in range(_MAX_NESTING):
        fetched = registries.manifest_once(reference)
        found = parse_manifest(fetched.data, fetched.media_type, str(reference))
        if isinstance(found, Manifest):
            return _image(registries, fetched.reference, found, fetched.data, platform, kept)
        reference = reference.with_digest(_child(found, reference, platform).digest)
    raise ManifestError(f"{reference} is an index nested more than {_MAX_NESTING} deep")


def _child(index: Index, reference: Reference, platform: Platform) -> Descriptor:
    """Attestations (``unknown/unknown``) are no images; an index with one nameless child means that one."""
    children: dict[Platform, Descriptor] = {}
    for each in index.manifests:
        if each.platform and each.platform.os != "unknown":
            children.setdefault(each.platform, each)
    best = best_match(platform, children)
    if best:
        return children[best]
    if len(index.manifests) == 1 and index.manifests[0].platform is None:
        return index.manifests[0]
    available = ", ".join(sorted(str(each) for each in children)) or "no platform at all"
    raise ManifestError(
        f"{reference} has no image for {platform}; it has {available}",
        hint="choose one of them with --custom-platform, or another base image",
    )


def _image(
    registries: Images,
    reference: Reference,
    manifest: Manifest,
    data: bytes,
    platform: Platform,
    kept: BlobStore | None,
) -> RemoteImage:
    config_bytes = _kept_config(kept, manifest.config) if kept else None
    if config_bytes is None:
        config_bytes = _config_bytes(registries, reference, manifest.config)
        if kept:
            kept.put(config_bytes)
    config = ImageConfig.from_bytes(config_bytes, str(reference))
    if len(config.diff_ids) != len(manifest.layers):
        raise ManifestError(
            f"{reference} is damaged: its manifest has {len(manifest.layers)} layers, its config {len(config.diff_ids)}"
        )
    if best_match(platform, [config.platform]) is None:
        # a Dockerfile's FROM is warned of with its line (InvalidBaseImagePlatform)
        log(registries.progress, "debug", f"{reference} is for {config.platform}, not for {platform}")
    return RemoteImage(
        reference=reference,
        manifest=manifest,
        manifest_bytes=data,
        config=config,
        config_bytes=config_bytes,
        layers=tuple(registries.blob(reference, layer) for layer in manifest.layers),
    )


def _kept_config(kept: BlobStore, descriptor: Descriptor) -> bytes | None:
    """The config as an earlier build has kept it; None if it has not, or it is damaged."""
    if not kept.has(descriptor.digest, descriptor.size):
        return None
    try:
        with kept.open(descriptor.digest) as stream:
            return stream.read()
    except (DigestMismatch, StorageError):
        return None


def _config_bytes(registries: Images, reference: Reference, descriptor: Descriptor) -> bytes:
    if descriptor.size > MAX_CONFIG_BYTES:
        raise ManifestError(f"the config of {reference} is larger than {MAX_CONFIG_BYTES} bytes")
    with registries.open_blob(reference, descriptor) as stream:
        data = stream.read()
    if len(data) != descriptor.size:
        raise DigestMismatch(f"the config of {reference} has {len(data)} bytes instead of {descriptor.size}")
    return data
