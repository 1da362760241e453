"""Removing from an OCI layout the blobs that nothing in it refers to any more (OCI image-spec, image-layout.md)."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from builder.digest import Digest
from builder.errors import BuilderError
from builder.image.descriptor import Descriptor
from builder.image.manifest import MAX_MANIFEST_BYTES, Manifest, parse_manifest
from builder.storage.blobs import BlobStore

_MAX_NESTING = 4


def collect(path: Path, entries: Iterable[Any], *, unused_for: float) -> int:
    """Remove blobs that no entry of the index leads to, and return how many. The caller holds the layout's lock.

    Whoever has found an entry before it was dropped may read its blobs for a while, so young ones stay; as long as
    what something leads to cannot be told (a manifest that cannot be read) nothing is removed.

    Args:
        entries: of the layout's index.
        unused_for: seconds since the mtime of a blob.

    Raises nothing: what cannot be removed is left for another time.
    """
    store, oldest, count = BlobStore(path), time.time() - unused_for, 0
    with suppress(BuilderError, OSError, ValueError, KeyError, TypeError):
        used = {digest for entry in entries for digest in _reached(store, entry, _MAX_NESTING)}
        for digest, file in _blobs(path):
            if digest not in used and os.lstat(file).st_mtime < oldest:
                store.remove(digest)
                count += 1
    return count


def _reached(store: BlobStore, entry: Mapping[str, Any], depth: int) -> Iterator[Digest]:
    """Everything that belongs to an entry. Raises BuilderError where that cannot be told."""
    descriptor = Descriptor.from_json(entry)
    yield descriptor.digest
    for value in (descriptor.annotations or {}).values():
        with suppress(BuilderError):
            yield Digest.parse(value)  # the base-image cache notes there which index has led to an image
    if descriptor.size > MAX_MANIFEST_BYTES or not store.has(descriptor.digest):
        return
    with store.source(descriptor).open() as stream:
        data = b"".join(iter(lambda: stream.read(1 << 20), b""))
    found = parse_manifest(data, descriptor.media_type, str(descriptor.digest))
    if isinstance(found, Manifest):
        yield from (found.config.digest, *(layer.digest for layer in found.layers))
    elif depth:
        for child in found.manifests:
            yield from _reached(store, child.to_json(), depth - 1)


def _blobs(path: Path) -> list[tuple[Digest, Path]]:
    found = []
    for directory in (path / "blobs").iterdir():
        for file in directory.iterdir():
            with suppress(BuilderError):
                found.append((Digest.parse(f"{directory.name}:{file.name}"), file))
    return found
