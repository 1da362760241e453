"""Descriptors (OCI image-spec, descriptor.md)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from builder.digest import Digest
from builder.errors import InvalidReference, ManifestError
from builder.image.platform import Platform


@dataclass(frozen=True, slots=True, kw_only=True)
class Descriptor:
    """What a blob or manifest is and how to verify it.

    Attributes:
        size: length in bytes.
        platform: of an index's child; None elsewhere.
        urls: where a foreign (non-distributable) layer may be had.
    """

    media_type: str
    digest: Digest
    size: int
    annotations: Mapping[str, str] = field(default_factory=dict)
    platform: Platform | None = None
    urls: tuple[str, ...] = ()

    @classmethod
    def of(cls, media_type: str, data: bytes) -> Descriptor:
        """The descriptor of `data` itself."""
        return cls(media_type=media_type, digest=Digest.of(data), size=len(data))

    @classmethod
    def from_json(cls, document: Any) -> Descriptor:
        """Read the JSON object of a manifest. Raises ManifestError."""
        try:
            return cls(
                media_type=str(document.get("mediaType", "")),
                digest=Digest.parse(document["digest"]),
                size=_size(document["size"]),
                annotations=dict(document.get("annotations") or {}),
                platform=_platform(document.get("platform")),
                urls=tuple(document.get("urls") or ()),
            )
        except (AttributeError, KeyError, TypeError, ValueError, InvalidReference) as error:
            raise ManifestError(f"invalid descriptor in a manifest: {error!r}") from None

    def to_json(self) -> dict[str, Any]:
        """The JSON object, without empty fields."""
        document: dict[str, Any] = {"mediaType": self.media_type, "digest": str(self.digest), "size": self.size}
        if self.urls:
            document["urls"] = list(self.urls)
        if self.annotations:
            document["annotations"] = dict(self.annotations)
        if self.platform:
            document["platform"] = _platform_json(self.platform)
        return document


def _size(value: Any) -> int:
    if not isinstance(value, int) or value < 0:
        raise ValueError(f"{value!r} is not a size")
    return value


def _platform(document: Any) -> Platform | None:
    if not document:
        return None
    return Platform.normalised(str(document["os"]), str(document["architecture"]), str(document.get("variant") or ""))


def _platform_json(platform: Platform) -> dict[str, str]:
    document = {"architecture": platform.architecture, "os": platform.os}
    if platform.variant:
        document["variant"] = platform.variant
    return document
