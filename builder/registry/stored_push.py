"""Pushing what an OCI layout holds: an index with everything below it, each index after what it names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from builder.image.reference import Reference
from builder.registry.index_push import IndexPush, push_index
from builder.registry.push import Pusher
from builder.storage.image import Pushable
from builder.storage.stored import Stored, StoredIndex, StoredManifest


def push_stored(pusher: Pusher, found: Stored, destinations: Sequence[Reference]) -> None:
    """Push it to each destination. Nothing is tagged unless all of it is there. Raises as `push_index` does."""
    if isinstance(found, StoredManifest):
        pusher.finish(found, destinations)
        return
    for child in found.children:
        if isinstance(child, StoredIndex):
            by_digest = [replace(each, tag=None, digest=child.digest) for each in destinations]
            push_stored(pusher, child, list(dict.fromkeys(by_digest)))
    leaves: list[Pushable] = [child for child in found.children if isinstance(child, StoredManifest)]
    index = IndexPush(children=leaves, media_type=found.descriptor.media_type, data=found.manifest_bytes)
    push_index(pusher, pusher.registries, index, destinations)
