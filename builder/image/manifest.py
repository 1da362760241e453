"""Image manifests and indexes (OCI image-spec manifest.md and image-index.md; Docker's schema 2 and manifest list)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from builder.errors import ManifestError
from builder.image import media_types
from builder.image.descriptor import Descriptor
from builder.image.media_types import Family

MAX_MANIFEST_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """The manifest of one image: its config and its layers, lowest first."""

    family: Family
    config: Descriptor
    layers: tuple[Descriptor, ...]
    annotations: Mapping[str, str] = field(default_factory=dict)

    def to_bytes(self) -> bytes:
        """The JSON text that is pushed; its digest is the image's. The same manifest gives the same bytes."""
        document: dict[str, Any] = {
            "schemaVersion": 2,
            "mediaType": self.family.manifest,
            "config": self.config.to_json(),
            "layers": [layer.to_json() for layer in self.layers],
        }
        if self.annotations:
            document["annotations"] = dict(sorted(self.annotations.items()))
        return encode(document)


@dataclass(frozen=True, slots=True, kw_only=True)
class Index:
    """An image index (Docker: manifest list): one child for each platform."""

    family: Family
    manifests: tuple[Descriptor, ...]
    annotations: Mapping[str, str] = field(default_factory=dict)

    def to_bytes(self) -> bytes:
        """The JSON text that is pushed."""
        document: dict[str, Any] = {
            "schemaVersion": 2,
            "mediaType": self.family.index,
            "manifests": [child.to_json() for child in self.manifests],
        }
        if self.annotations:
            document["annotations"] = dict(sorted(self.annotations.items()))
        return encode(document)


def encode(document: Any) -> bytes:
    """JSON as images have it: UTF-8, no spaces, keys in the order given."""
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "surrogateescape")


def parse_manifest(data: bytes, media_type: str | None, what: str) -> Manifest | Index:
    """Read a manifest or index.

    Args:
        data: the JSON text.
        media_type: what it came as (a registry's Content-Type), or None; the document's own field goes first.
        what: the reference, for messages.

    Raises:
        ManifestError: it is not valid, or neither (schema 1, an artifact that is no image).
    """
    document = _load(data, what)
    kind = document.get("mediaType") or (media_type or "").partition(";")[0].strip() or _guess(document)
    if kind in media_types.DOCKER_SCHEMA1 or document.get("schemaVersion") == 1:
        raise ManifestError(
            f"{what} is a Docker image manifest of schema 1, which no current tool writes",
            hint="push the image again with a current docker, or copy it with `skopeo copy --format v2s2`",
        )
    annotations = _strings(document.get("annotations"))
    if kind in media_types.MANIFESTS:
        config, layers = document.get("config"), _list(document, "layers", what)
        return Manifest(
            family=Family.of(kind),
            config=Descriptor.from_json(config),
            layers=tuple(Descriptor.from_json(layer) for layer in layers),
            annotations=annotations,
        )
    if kind in media_types.INDEXES:
        children = tuple(Descriptor.from_json(child) for child in _list(document, "manifests", what))
        return Index(family=Family.of(kind), manifests=children, annotations=annotations)
    raise ManifestError(f"{what} is not an image: its media type is {kind!r}")


def _load(data: bytes, what: str) -> dict[str, Any]:
    if len(data) > MAX_MANIFEST_BYTES:
        raise ManifestError(f"the manifest of {what} is larger than {MAX_MANIFEST_BYTES} bytes")
    try:
        document = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise ManifestError(f"the manifest of {what} is not JSON: {error}") from None
    if not isinstance(document, dict):
        raise ManifestError(f"the manifest of {what} is not a JSON object")
    return document


def _guess(document: dict[str, Any]) -> str:
    if "manifests" in document:
        return media_types.OCI_INDEX
    return media_types.OCI_MANIFEST if "config" in document else ""


def _list(document: dict[str, Any], key: str, what: str) -> list[Any]:
    value = document.get(key)
    if not isinstance(value, list):
        raise ManifestError(f"the manifest of {what} has no list of {key}")
    return value


def _strings(value: Any) -> dict[str, str]:
    return {str(key): str(text) for key, text in value.items()} if isinstance(value, dict) else {}
