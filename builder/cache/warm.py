"""Filling the base-image cache: whole images into an OCI layout, their blobs verified.

Several warmers may fill one directory at once: each image is written under the directory's lock, so the second finds
what the first has fetched. Builds that read it meanwhile see whole files only.
"""

from __future__ import annotations

import calendar
import tempfile
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from builder.cache.freshness import Freshness
from builder.digest import Digest, Readable
from builder.errors import BuilderError
from builder.image.descriptor import Descriptor
from builder.image.manifest import Manifest, parse_manifest
from builder.image.platform import Platform
from builder.image.reference import Reference
from builder.progress import Progress
from builder.registry.client import FetchedManifest, Registries
from builder.registry.pull import RemoteImage, resolve_image
from builder.storage.blob import Blob, MemoryBlob
from builder.storage.blobs import BlobStore
from builder.storage.failure import explained
from builder.storage.oci_layout import CONTAINERD_NAME, REF_NAME, changed_entries, write_blob

_WARMED, _INDEX = "builder.warm.time", "builder.warm.index"
_JOBS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Warmed:
    """What came of one image.

    Attributes:
        fetched: how many of its `blobs` were not there, or not intact.
    """

    reference: Reference
    blobs: int
    fetched: int


class Warmer:
    """Writes images into the layout at `directory`.

    Args:
        freshness: images that were not warmed for longer are removed when another one is written.
        force: fetch what is there, too.
    """

    def __init__(self, directory: Path, registries: Registries, freshness: Freshness, *, force: bool = False) -> None:
        self._directory, self._registries, self._freshness, self._force = directory, registries, freshness, force
        self._store = BlobStore(directory)

    def warm(self, reference: Reference, platform: Platform) -> Warmed:
        """Have the image of `reference` for `platform` in the directory.

        Raises RegistryError, ManifestError, DigestMismatch, StorageError.
        """
        recorded = _Recording(self._registries)
        image = resolve_image(recorded, reference, platform)
        with changed_entries(self._directory) as entries:
            blobs = _blobs(image, recorded.fetched)
            fetched = self._write(blobs)
            _enter(entries, image, reference, recorded.fetched[0].digest, int(self._freshness.now()))
            self._forget_old(entries)
        return Warmed(reference=image.reference, blobs=len(blobs), fetched=fetched)

    def _write(self, blobs: Sequence[Blob]) -> int:
        with ThreadPoolExecutor(_JOBS, thread_name_prefix="warm") as threads:
            written = threads.map(lambda blob: write_blob(self._store, blob, again=self._force), blobs)
            return sum(written)

    def _forget_old(self, entries: list[dict[str, Any]]) -> None:
        """Remove images that were not warmed for longer than they live, and the blobs that were theirs alone."""
        old = [entry for entry in entries if not self._freshness.is_fresh(_warmed(entry, self._freshness.now()))]
        if not old:
            return
        gone = set(self._digests(old))
        entries[:] = [entry for entry in entries if entry not in old]
        for digest in gone - set(self._digests(entries)):
            self._store.remove(digest)

    def _digests(self, entries: Iterable[dict[str, Any]]) -> Iterable[Digest]:
        """Everything that belongs to entries, as far as it can be read."""
        for entry in entries:
            with suppress(BuilderError, KeyError, TypeError):
                digest = Digest.parse(entry["digest"])
                yield digest
                if index := entry.get("annotations", {}).get(_INDEX):
                    yield Digest.parse(index)
                with self._store.open(digest) as stream:
                    found = parse_manifest(stream.read(), None, str(digest))
                if isinstance(found, Manifest):
                    yield from (found.config.digest, *(layer.digest for layer in found.layers))


class _Recording:
    """Registries that keep the manifests that they have fetched, in order: indexes first, the image's last."""

    def __init__(self, registries: Registries) -> None:
        self._registries = registries
        self.fetched: list[FetchedManifest] = []

    @property
    def progress(self) -> Progress:
        return self._registries.progress

    def manifest_once(self, reference: Reference, /) -> FetchedManifest:
        found = self._registries.manifest(reference)
        self.fetched.append(found)
        return found

    def open_blob(self, repository: Reference, descriptor: Descriptor, /) -> AbstractContextManager[Readable]:
        return self._registries.open_blob(repository, descriptor)

    def blob(self, repository: Reference, descriptor: Descriptor, /) -> Blob:
        return self._registries.blob(repository, descriptor)


def _blobs(image: RemoteImage, fetched: Sequence[FetchedManifest]) -> list[Blob]:
    """All that the image is made of, and the indexes that led to it. Layers that live elsewhere are left there."""
    layers = {layer.descriptor.digest: layer for layer in image.layers if not layer.descriptor.urls}
    config = Blob(descriptor=image.manifest.config, source=MemoryBlob(image.config_bytes))
    manifests = [
        Blob(
            descriptor=Descriptor(media_type=each.media_type, digest=each.digest, size=len(each.data)),
            source=MemoryBlob(each.data),
        )
        for each in fetched
    ]
    return [*layers.values(), config, *manifests]


def _enter(entries: list[dict[str, Any]], image: RemoteImage, name: Reference, index: Digest, now: int) -> None:
    """Enter the image under its name; another one that had the name, for the same platform, goes."""
    annotations = {
        CONTAINERD_NAME: str(name),
        REF_NAME: str(name),
        _WARMED: time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now)),
        _INDEX: str(index),
    }
    descriptor = Descriptor.of(image.manifest.family.manifest, image.manifest_bytes)
    entry = replace(descriptor, annotations=annotations, platform=image.config.platform).to_json()
    entries[:] = [each for each in entries if _place(each) != _place(entry)]
    entries.append(entry)


def _place(entry: dict[str, Any]) -> object:
    annotations = entry.get("annotations")
    return annotations.get(REF_NAME) if isinstance(annotations, dict) else None, entry.get("platform")


def _warmed(entry: dict[str, Any], now: float) -> float:
    """When the image was warmed; what others have put into the layout has no age."""
    try:
        return calendar.timegm(time.strptime(entry["annotations"][_WARMED], "%Y-%m-%dT%H:%M:%SZ"))
    except (KeyError, TypeError, ValueError):
        return now


def check_writable(directory: Path) -> None:
    """Raises StorageError if nothing can be written to the directory, which is made if it is not there."""
    with explained("write to", directory):
        directory.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=directory):
            pass
