"""Layers of a build: those of the base, which pass through, and new ones, packed in the background."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass

from builder.digest import Digest
from builder.engine.located import Stopped
from builder.engine.request import ImageFormat
from builder.engine.services import Services
from builder.image.descriptor import Descriptor
from builder.image.media_types import Family
from builder.layer.changes import Changes
from builder.layer.entry import Entry
from builder.layer.writer import Sink, write_layer
from builder.progress import Step, current_step, working
from builder.storage.blob import Blob


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """A layer of an image: its blob, and the digest of its uncompressed tar."""

    blob: Blob
    diff_id: Digest


def completed(layer: Layer) -> Future[Layer]:
    """A future that has come to pass."""
    future: Future[Layer] = Future()
    future.set_result(layer)
    return future


class Packer:
    """Writes layers of new content into the blob store.

    Args:
        stopped: once it is set, layers that are being written are given up.
    """

    def __init__(self, services: Services, image_format: ImageFormat, stopped: threading.Event) -> None:
        self._services, self._format, self._stopped = services, image_format, stopped

    def pack(self, changes: Changes, family: Family, finished: Callable[[Layer], None]) -> Future[Layer]:
        """Begin to write a layer. The contents of `changes` must stay as they are until it is complete.

        `finished` is told of it then, in the thread that wrote it.
        """
        return self._services.workers.submit(self._pack, changes, family, finished, current_step.get())

    def _pack(self, changes: Changes, family: Family, finished: Callable[[Layer], None], step: Step | None) -> Layer:
        algorithm = self._format.compression
        deterministic = self._format.reproducible or self._format.epoch is not None
        if self._format.reproducible:
            changes = not_after(changes, self._format.epoch or 0)
        blobs = self._services.blobs
        with working(self._services.progress, "compress", step=step), blobs.ingest() as sink:
            stoppable = _Stoppable(sink, self._stopped)
            written = write_layer(changes, stoppable, algorithm, self._format.level, deterministic=deterministic)
            sink.commit(written.digest, written.size)
        descriptor = Descriptor(media_type=family.layer(algorithm), digest=written.digest, size=written.size)
        layer = Layer(blob=Blob(descriptor=descriptor, source=blobs.source(descriptor)), diff_id=written.diff_id)
        finished(layer)
        return layer


class _Stoppable:
    """A sink that takes nothing more once the build has stopped."""

    def __init__(self, sink: Sink, stopped: threading.Event) -> None:
        self._sink, self._stopped = sink, stopped

    def write(self, data: bytes, /) -> None:
        if self._stopped.is_set():
            raise Stopped
        self._sink.write(data)


def not_after(changes: Changes, latest: int) -> Changes:
    """The same changes with no mtime after `latest`; hardlinks stay hardlinks."""
    made: dict[int, Entry] = {}

    def clamped(entry: Entry | None) -> Entry | None:
        if entry is None or entry.mtime <= latest:
            return entry
        if id(entry) not in made:
            made[id(entry)] = entry._replace(mtime=latest)
        return made[id(entry)]

    return {path: clamped(entry) for path, entry in changes.items()}
