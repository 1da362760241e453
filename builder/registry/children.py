"""The children of an index that is put together from images in registries, with what an index says of each."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from builder.errors import ManifestError
from builder.image.descriptor import Descriptor
from builder.image.manifest import Index, Manifest, parse_manifest
from builder.image.platform import Platform, best_match
from builder.image.reference import Reference
from builder.progress import log
from builder.registry.client import FetchedManifest, Registries
from builder.registry.pull import MAX_CONFIG_BYTES
from builder.storage.blob import Blob

REFERENCE_DIGEST = "vnd.docker.reference.digest"
_REFERENCE_TYPE = "vnd.docker.reference.type"
_ATTESTATION = "attestation-manifest"
_EXTRAS = ("os.version", "os.features")

PlatformEntry = Mapping[str, Any]
"""A platform as an index has it: ``architecture``, ``os``, ``variant``, ``os.version``, ``os.features``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Child:
    """A manifest that an index is to have: an image, or an attestation about one. It can be pushed.

    Attributes:
        reference: where it is, with its digest.
        entry: what the index says of it.
    """

    reference: Reference
    entry: Mapping[str, Any]
    descriptor: Descriptor
    manifest_bytes: bytes = field(repr=False)
    layers: tuple[Blob, ...]
    config_blob: Blob


def children_of(registries: Registries, reference: Reference, wanted: PlatformEntry | None) -> list[Child]:
    """The image that `reference` means, and the attestations about it if it comes with some.

    An index stands for the image in it that is for `wanted`, or for the only one.

    Args:
        wanted: the platform that the index is to name; None for what the image itself says.

    Raises RegistryError, DigestMismatch; ManifestError if it is no image, or an index without the one that is meant.
    """
    fetched = registries.manifest(reference)
    found = parse_manifest(fetched.data, fetched.media_type, str(reference))
    if isinstance(found, Manifest):
        return [_single(registries, fetched, found, wanted)]
    entries = [dict(entry) for entry in json.loads(fetched.data)["manifests"]]
    image = _chosen(reference, found, entries, wanted)
    related = [entry for entry in entries if image["digest"] == _subject(entry)]
    return [_of_entry(registries, reference, entry) for entry in (image, *related)]


def is_attestation(entry: Mapping[str, Any]) -> bool:
    """Whether an entry of an index is about another one, and no image (BuildKit's attestation storage)."""
    platform = entry.get("platform") or {}
    return (entry.get("annotations") or {}).get(_REFERENCE_TYPE) == _ATTESTATION or platform.get("os") == "unknown"


def platform_entry(platform: Platform, extras: PlatformEntry | None = None) -> dict[str, Any]:
    """A platform as an index has it, with ``os.version`` and ``os.features`` of `extras`."""
    entry: dict[str, Any] = {"architecture": platform.architecture, "os": platform.os}
    entry |= {key: extras[key] for key in _EXTRAS if extras and extras.get(key)}
    if platform.variant:
        entry["variant"] = platform.variant
    return entry


def platform_in(entry: PlatformEntry) -> Platform:
    """The platform without what is beyond os, architecture and variant."""
    return Platform.normalised(
        str(entry.get("os") or ""), str(entry.get("architecture") or ""), str(entry.get("variant") or "")
    )


def _subject(entry: Mapping[str, Any]) -> str | None:
    """The digest of what an attestation is about."""
    return (entry.get("annotations") or {}).get(REFERENCE_DIGEST) if is_attestation(entry) else None


def _chosen(
    reference: Reference, index: Index, entries: Iterable[Mapping[str, Any]], wanted: PlatformEntry | None
) -> Mapping[str, Any]:
    images = [entry for entry in entries if not is_attestation(entry)]
    names = ", ".join(str(platform_in(entry.get("platform") or {})) or "no platform" for entry in images) or "nothing"
    if wanted is None:
        if len(images) == 1:
            return images[0]
        raise ManifestError(
            f"{reference} is itself an index, of {len(images)} images: {names}",
            hint="say which one is meant: IMAGE=OS/ARCH, or the digest of the image",
        )
    by_platform: dict[Platform, Mapping[str, Any]] = {
        platform_in(entry["platform"]): entry for entry in reversed(images) if entry.get("platform")
    }
    best = best_match(platform_in(wanted), by_platform)
    if best is None:
        raise ManifestError(f"{reference} is an index without an image for {platform_in(wanted)}; it has {names}")
    return by_platform[best]


def _of_entry(registries: Registries, reference: Reference, entry: Mapping[str, Any]) -> Child:
    descriptor = Descriptor.from_json(dict(entry))
    fetched = registries.manifest(reference.with_digest(descriptor.digest))
    found = parse_manifest(fetched.data, fetched.media_type, str(fetched.reference))
    if isinstance(found, Index):
        raise ManifestError(f"{reference} has an index in it ({descriptor.digest}), which cannot be joined")
    return _child(registries, fetched, found, entry)


def _single(registries: Registries, fetched: FetchedManifest, found: Manifest, wanted: PlatformEntry | None) -> Child:
    said = _config_platform(registries, fetched.reference, found.config)
    platform = _entered(registries, fetched.reference, said, wanted)
    entry = {
        "mediaType": found.family.manifest,
        "digest": str(fetched.digest),
        "size": len(fetched.data),
        "platform": platform,
    }
    return _child(registries, fetched, found, entry)


def _entered(
    registries: Registries, reference: Reference, said: PlatformEntry, wanted: PlatformEntry | None
) -> dict[str, Any]:
    """The platform for an image whose config says `said`: what is wanted, completed by that."""
    if wanted is None:
        if not said.get("os") or not said.get("architecture"):
            raise ManifestError(f"{reference} does not say what platform it is for", hint="say it: IMAGE=OS/ARCH")
        return platform_entry(platform_in(said), said)
    own, asked = platform_in(said), platform_in(wanted)
    if (own.os, own.architecture) != (asked.os, asked.architecture):
        log(registries.progress, "warning", f"{reference} says that it is for {own}; it is entered for {asked}")
        return platform_entry(asked, wanted)
    if not wanted.get("variant"):
        asked = own
    return platform_entry(asked, {key: wanted.get(key) or said.get(key) for key in _EXTRAS})


def _config_platform(registries: Registries, reference: Reference, config: Descriptor) -> PlatformEntry:
    if config.size > MAX_CONFIG_BYTES:
        raise ManifestError(f"the config of {reference} is larger than {MAX_CONFIG_BYTES} bytes")
    with registries.open_blob(reference, config) as stream:
        data = stream.read()
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        document = None
    if isinstance(document, dict):
        return {str(key): value for key, value in document.items()}
    raise ManifestError(f"{reference} is no image: its config is not a JSON object")


def _child(registries: Registries, fetched: FetchedManifest, found: Manifest, entry: Mapping[str, Any]) -> Child:
    return Child(
        reference=fetched.reference,
        entry=entry,
        descriptor=Descriptor(media_type=found.family.manifest, digest=fetched.digest, size=len(fetched.data)),
        manifest_bytes=fetched.data,
        layers=tuple(registries.blob(fetched.reference, layer) for layer in found.layers),
        config_blob=registries.blob(fetched.reference, found.config),
    )
