"""Manifests that this process has fetched already: a build asks for each one once, whoever in it wants it."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace

from builder.image.reference import Reference
from builder.registry.manifests import FetchedManifest


class FetchedManifests:
    """Thread-safe: who asks for what another is fetching waits for it. What could not be fetched is not kept."""

    def __init__(self) -> None:
        self._found: dict[Reference, FetchedManifest] = {}
        self._lock = threading.Lock()
        self._locks: defaultdict[Reference, threading.Lock] = defaultdict(threading.Lock)

    def once(self, reference: Reference, fetch: Callable[[], FetchedManifest]) -> FetchedManifest:
        """The manifest, by `fetch` if it is not there. Raises what `fetch` raises."""
        key = _key(reference)
        with self._lock:
            lock = self._locks[key]
        with lock:
            if key not in self._found:
                found = fetch()
                self._found[key] = found
                self._found[_key(reference.with_digest(found.digest))] = found
            return self._found[key]

    def forget(self, reference: Reference) -> None:
        """A tag has been moved."""
        self._found.pop(_key(reference), None)


def _key(reference: Reference) -> Reference:
    """What decides on the content: the digest, where there is one, whatever the tag."""
    return replace(reference, tag=None) if reference.digest else reference
