"""The layer cache in a directory (``--cache-repo=oci:PATH``): an OCI layout whose references are the keys.

Any number of jobs may use it at once, on one machine or on a filesystem that has locks: those who store take turns,
those who look up need none, since the index is replaced at once and blobs appear complete.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping, Set
from pathlib import Path
from typing import Any

from builder.cache.base import CachedLayer, CacheKey, Work
from builder.cache.entry import entry_manifest, entry_of, result_of
from builder.cache.freshness import Freshness
from builder.cache.trouble import Trouble
from builder.errors import BuilderError
from builder.progress import Progress
from builder.storage.blobs import BlobStore
from builder.storage.oci_layout import find_entry, image_of_entry, is_oci_layout, write_oci_layout

_MOST_ENTRIES = 5000  # the index is read as a whole, and is refused when it exceeds 4 MiB
_SECONDS_UNUSED = 86400.0
"""How long the blobs of an entry that was dropped are kept: a build that has found it before may still read them."""


class LayoutCache:
    """A LayerCache in an OCI layout, which is made when the first result is stored.

    Args:
        works: the kinds of instructions whose results are kept here.
        stores: whether to add to it.
    """

    near = True

    def __init__(
        self, path: Path, works: Set[Work], freshness: Freshness, progress: Progress, *, stores: bool = True
    ) -> None:
        self._works = works
        self._cleaned = False
        self._path, self._freshness, self._stores = path, freshness, stores
        self._reading = Trouble(progress, f"layers of the cache {path} are not used")
        self._writing = Trouble(progress, f"layers are not stored in the cache {path}")

    def accepts(self, work: Work) -> bool:
        return work in self._works

    def lookup(self, key: CacheKey) -> CachedLayer | None:
        """The result; None if there is none that is fresh."""
        if self._reading.over or not is_oci_layout(self._path):
            return None
        try:
            entry = find_entry(self._path, key.hex)
        except BuilderError as error:
            self._reading.ends(error.message)
            return None
        try:
            return None if entry is None else self._result(entry, f"{self._path}:{key.hex}")
        except BuilderError as error:
            self._reading.damaged(error.message)
            return None

    def store(self, key: CacheKey, result: CachedLayer) -> None:
        """Keep a result; waits for others who are storing theirs."""
        if not self._stores or self._writing.over:
            return
        # to look for what nobody needs means to read all manifests: once in a build is enough
        forget = None if self._cleaned else _SECONDS_UNUSED
        try:
            if write_oci_layout(self._path, entry_of(result), [key.hex], most=_MOST_ENTRIES, forget=forget):
                self._cleaned = True
        except BuilderError as error:
            self._writing.ends(error.message)

    def _result(self, entry: Mapping[str, Any], what: str) -> CachedLayer | None:
        image = image_of_entry(self._path, entry)
        entry_manifest(image.manifest_bytes, "", what)
        result = result_of(image.config, image.layers[0], what)
        if not self._freshness.is_fresh(result.created):
            return None
        with contextlib.suppress(OSError):  # a cache that is only read needs no marks
            os.utime(BlobStore(self._path).path(image.layers[0].descriptor.digest))
        return result
