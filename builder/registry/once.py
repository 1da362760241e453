"""A blob goes to each registry once: whoever wants it in another repository there waits, and mounts it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TypeVar

from builder.digest import Digest
from builder.image.reference import Reference
from builder.storage.blob import Blob

Outcome = TypeVar("Outcome")


@dataclass(slots=True)
class _Place:
    lock: threading.Lock = field(default_factory=threading.Lock)
    repository: Reference | None = None


class Uploads:
    """What has been uploaded by this process, and what is being uploaded now. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._places: dict[tuple[str, Digest], _Place] = {}

    def once(self, blob: Blob, repository: Reference, upload: Callable[[Blob], Outcome]) -> Outcome:
        """Call `upload`, after any other upload of the blob to this registry, with the place where the blob is now.

        Raises what `upload` raises; whoever waited then uploads it himself.
        """
        with self._lock:
            place = self._places.setdefault((repository.registry, blob.descriptor.digest), _Place())
        with place.lock:
            elsewhere = blob.origin is None or blob.origin.registry != repository.registry
            if elsewhere and place.repository is not None:
                blob = replace(blob, origin=place.repository)
            outcome = upload(blob)
            place.repository = place.repository or repository
            return outcome
