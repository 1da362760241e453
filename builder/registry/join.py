"""Joining images that are in registries under one name: ``manifest create`` and ``manifest push``."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from builder.errors import BuilderError, ManifestError, UsageError
from builder.image.manifest import MAX_MANIFEST_BYTES, Index, encode, parse_manifest
from builder.image.media_types import Family
from builder.image.reference import Reference
from builder.progress import log
from builder.registry.children import (
    REFERENCE_DIGEST,
    Child,
    PlatformEntry,
    children_of,
    is_attestation,
    platform_in,
)
from builder.registry.client import Registries
from builder.registry.errors import RegistryError
from builder.registry.index_push import IndexPush, push_index
from builder.registry.push import Pusher


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """An image that is to be joined.

    Attributes:
        references: where it may be, in the order in which they are tried.
        platform: what the index is to say of it; None for what the image says.
    """

    references: tuple[Reference, ...]
    platform: PlatformEntry | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Join:
    """An index that is to be put together and pushed.

    Attributes:
        tags: more tags for it, in the repository of `target`.
        family: media type of the index; None for Docker's if all children are Docker's, else OCI.
        amend: add to what `target` is now, if it is there; children for the same platforms are replaced.
        ignore_missing: parts that do not exist are left out, with a warning.
    """

    target: Reference
    parts: tuple[Part, ...]
    tags: tuple[str, ...] = ()
    family: Family | None = None
    annotations: Mapping[str, str] = field(default_factory=dict)
    amend: bool = False
    ignore_missing: bool = False

    @property
    def destinations(self) -> tuple[Reference, ...]:
        return (self.target, *(replace(self.target, tag=tag) for tag in self.tags))


def join(wanted: Join, registries: Registries) -> IndexPush:
    """Put the index together and push it, with children that its repository does not have.

    They are mounted from other repositories of the registry, and copied from other registries.

    Raises RegistryError, DigestMismatch, ManifestError, UsageError.
    """
    children = _children(wanted, registries)
    before, annotations = _before(wanted, registries) if wanted.amend else ([], {})
    entries = _entries(before, children)
    family = wanted.family or _family(entries)
    annotations = {**annotations, **wanted.annotations}
    if annotations and family is Family.DOCKER:
        raise UsageError(
            "a Docker manifest list has no annotations", hint="use --format oci, or leave the annotations out"
        )
    index = IndexPush(
        children=[child for child in children if child.reference.name != wanted.target.name],
        media_type=family.index,
        data=_encoded(family, entries, annotations),
    )
    with Pusher(registries, registries.progress) as pusher:
        push_index(pusher, registries, index, wanted.destinations)
    return index


def _children(wanted: Join, registries: Registries) -> list[Child]:
    """All children in the order of the parts, images before attestations. Raises ManifestError if there is none."""
    found: list[Child] = []
    owners: dict[str, Child] = {}
    for part in wanted.parts:
        try:
            children = _of_part(part, registries)
        except RegistryError as error:
            if not wanted.ignore_missing or not is_missing(error):
                raise
            log(registries.progress, "warning", f"{error.message}; it is left out")
            continue
        owner = owners.setdefault(_key(children[0].entry), children[0])
        if owner is not children[0]:
            raise ManifestError(
                f"two images for {platform_in(children[0].entry['platform'])}: {owner.reference} and "
                f"{children[0].reference}",
                hint="give each platform once; a variant tells images of one architecture apart",
            )
        found += children
    if not found:
        raise ManifestError(f"none of the images for {wanted.target} exists: there is nothing to push")
    return sorted(found, key=lambda child: is_attestation(child.entry))


def _of_part(part: Part, registries: Registries) -> list[Child]:
    """Raises the first place's error if it is in none of them."""
    first: RegistryError | None = None
    for reference in part.references:
        try:
            return children_of(registries, reference, part.platform)
        except RegistryError as error:
            if not is_missing(error):
                raise
            first = first or error
    assert first is not None
    raise first


def is_missing(error: BuilderError) -> bool:
    """Whether an image does not exist, as far as its registry tells."""
    return isinstance(error, RegistryError) and error.status == 404


def _before(wanted: Join, registries: Registries) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """The entries and annotations of what is there now; nothing if there is nothing."""
    try:
        fetched = registries.manifest(wanted.target)
    except RegistryError as error:
        if is_missing(error):
            return [], {}
        raise
    found = parse_manifest(fetched.data, fetched.media_type, str(wanted.target))
    if not isinstance(found, Index):
        raise ManifestError(
            f"{wanted.target} is an image and no index, so that there is nothing to amend",
            hint="leave out --amend to replace it, and name it among the images to keep it",
        )
    return [dict(entry) for entry in json.loads(fetched.data)["manifests"]], dict(found.annotations)


def _entries(before: Sequence[dict[str, Any]], children: Sequence[Child]) -> list[Mapping[str, Any]]:
    """The entries of the index: those from before, but for what new ones replace, and the new ones."""
    new = {_key(child.entry): child.entry for child in children}
    replaced = {entry["digest"] for entry in before if _key(entry) in new and not is_attestation(entry)}
    kept = [
        entry
        for entry in before
        if entry["digest"] not in replaced
        and (entry.get("annotations") or {}).get(REFERENCE_DIGEST) not in replaced
        and _key(entry) not in new
    ]
    return [*kept, *new.values()]


def _key(entry: Mapping[str, Any]) -> str:
    """What there is once in an index: a platform, or an attestation."""
    if is_attestation(entry) or not entry.get("platform"):
        return str(entry["digest"])
    platform = entry["platform"]
    return f"{platform_in(platform)} {platform.get('os.version', '')} {platform.get('os.features', '')}"


def _family(entries: Sequence[Mapping[str, Any]]) -> Family:
    families = {Family.of(str(entry.get("mediaType", ""))) for entry in entries}
    return Family.DOCKER if families == {Family.DOCKER} else Family.OCI


def _encoded(family: Family, entries: Sequence[Mapping[str, Any]], annotations: Mapping[str, str]) -> bytes:
    document: dict[str, Any] = {
        "schemaVersion": 2,
        "mediaType": family.index,
        "manifests": [dict(entry) for entry in entries],
    }
    if annotations:
        document["annotations"] = dict(sorted(annotations.items()))
    data = encode(document)
    if len(data) > MAX_MANIFEST_BYTES:
        raise ManifestError(f"the index is larger than {MAX_MANIFEST_BYTES} bytes, which registries refuse")
    return data
