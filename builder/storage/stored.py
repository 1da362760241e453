"""What an OCI layout has under one entry, as it is to be pushed: byte for byte, with all that it leads to.

An index keeps its attestations and whatever else is in it; nothing has to be an image that this program could build on.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from builder.digest import Digest
from builder.errors import ManifestError, StorageError
from builder.image import media_types
from builder.image.descriptor import Descriptor
from builder.image.manifest import MAX_MANIFEST_BYTES, encode
from builder.storage.blob import Blob
from builder.storage.blobs import BlobStore

_MAX_NESTING = 4
_NAMES = ("org.opencontainers.image.ref.name", "io.containerd.image.name")


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredManifest:
    """A manifest of a layout, and the blobs that it names."""

    descriptor: Descriptor
    manifest_bytes: bytes = field(repr=False)
    layers: tuple[Blob, ...]
    config_blob: Blob

    @property
    def digest(self) -> Digest:
        return self.descriptor.digest


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredIndex:
    """An index of a layout, and what it names, in its order."""

    descriptor: Descriptor
    manifest_bytes: bytes = field(repr=False)
    children: tuple[StoredManifest | StoredIndex, ...]

    @property
    def digest(self) -> Digest:
        return self.descriptor.digest


Stored = StoredManifest | StoredIndex


def stored(path: Path, entry: Mapping[str, Any]) -> Stored:
    """What an entry of the index of the layout at `path` stands for. Blobs are verified when they are read.

    Raises StorageError (something of it is not there), ManifestError, DigestMismatch.
    """
    return _stored(BlobStore(path), dict(entry), _MAX_NESTING)


def joined(path: Path, entries: list[dict[str, Any]]) -> StoredIndex:
    """An index of these entries, of which each is for another platform. Raises as `stored` does."""
    children = tuple(stored(path, entry) for entry in entries)
    document = {
        "schemaVersion": 2,
        "mediaType": media_types.OCI_INDEX,
        "manifests": [_nameless(entry) for entry in entries],
    }
    data = encode(document)
    return StoredIndex(descriptor=Descriptor.of(media_types.OCI_INDEX, data), manifest_bytes=data, children=children)


def _nameless(entry: dict[str, Any]) -> dict[str, Any]:
    """The entry without what it is called in its layout."""
    annotations = {key: value for key, value in (entry.get("annotations") or {}).items() if key not in _NAMES}
    rest = {key: value for key, value in entry.items() if key != "annotations"}
    return rest | ({"annotations": annotations} if annotations else {})


def _stored(store: BlobStore, entry: Any, depth: int) -> Stored:
    descriptor = Descriptor.from_json(entry)
    what = f"{descriptor.digest} in {store.directory}"
    data = _read(store, descriptor, what)
    document = _document(data, what)
    own = Descriptor(
        media_type=str(document.get("mediaType") or descriptor.media_type), digest=descriptor.digest, size=len(data)
    )
    if own.media_type in media_types.INDEXES or "manifests" in document:
        if depth == 0:
            raise ManifestError(f"{what} is an index nested more than {_MAX_NESTING} deep")
        children = tuple(_stored(store, child, depth - 1) for child in _list(document, "manifests", what))
        return StoredIndex(descriptor=own, manifest_bytes=data, children=children)
    return StoredManifest(
        descriptor=own,
        manifest_bytes=data,
        layers=tuple(_blob(store, layer, what) for layer in _list(document, "layers", what)),
        config_blob=_blob(store, document.get("config"), what),
    )


def _blob(store: BlobStore, entry: Any, what: str) -> Blob:
    descriptor = Descriptor.from_json(entry)
    if not store.has(descriptor.digest) and not descriptor.urls:
        raise StorageError(f"{what} is incomplete: its blob {descriptor.digest} is not there")
    return Blob(descriptor=descriptor, source=store.source(descriptor))


def _read(store: BlobStore, descriptor: Descriptor, what: str) -> bytes:
    if descriptor.size > MAX_MANIFEST_BYTES:
        raise ManifestError(f"{what} is larger than {MAX_MANIFEST_BYTES} bytes")
    if not store.has(descriptor.digest):
        raise StorageError(
            f"{store.directory} is incomplete: {descriptor.digest} is not there",
            hint="a layout made of an index needs all of its images (skopeo copy --all)",
        )
    with store.source(descriptor).open() as stream:
        return stream.read()


def _document(data: bytes, what: str) -> dict[str, Any]:
    try:
        document = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise ManifestError(f"{what} is not JSON: {error}") from None
    if not isinstance(document, dict):
        raise ManifestError(f"{what} is not a JSON object")
    return document


def _list(document: dict[str, Any], key: str, what: str) -> list[Any]:
    value = document.get(key)
    if not isinstance(value, list):
        raise ManifestError(f"{what} has no list of {key}")
    return value
