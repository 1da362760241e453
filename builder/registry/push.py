"""Pushing an image: its blobs side by side and as early as they exist, its tags at the very end."""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Self

from builder.digest import Digest, Readable
from builder.image.reference import Reference
from builder.progress import Progress, Transfer, log
from builder.registry.client import Registries
from builder.registry.errors import Cancelled, RegistryError
from builder.storage.blob import Blob, BlobSource
from builder.storage.image import Pushable

_SECONDS_TO_STOP = 2.0
_SECONDS_TO_NOTICE = 0.2
_BLOB_UNKNOWN = ("MANIFEST_BLOB_UNKNOWN", "BLOB_UNKNOWN")
_Key = tuple[Digest, str, str]


class Pusher:
    """Uploads blobs in the background. Use it as a context manager: leaving it stops whatever still runs.

    The first error of any upload stops the others and is raised by the next `start` or `finish`.

    Args:
        jobs: uploads at the same time to one registry; one that stands still holds up none to another.
    """

    def __init__(self, registries: Registries, progress: Progress, jobs: int = 4) -> None:
        self.registries = registries
        self._progress, self._jobs = progress, jobs
        self._queues: dict[str, deque[tuple[_Key, Blob, Reference]]] = {}
        self._known: set[_Key] = set()
        self._unfinished: Counter[str] = Counter()  # by registry, as are the queues
        self._failure: BaseException | None = None
        self._stop = threading.Event()
        self._changed = threading.Condition()
        self._threads: list[threading.Thread] = []
        self._workers: Counter[str] = Counter()

    def start(self, blob: Blob, repository: Reference) -> None:
        """Begin to upload `blob`, unless that was begun before. A layer that may not be distributed is left out.

        Where several repositories of one registry are pushed to, start with the first alone: `finish` mounts the rest
        from there. Raises what an earlier upload failed with.
        """
        key = (blob.descriptor.digest, repository.registry, repository.repository)
        with self._changed:
            self._raise_failure()
            if key in self._known or _is_foreign(blob):
                return
            self._known.add(key)
            registry = repository.registry
            self._unfinished[registry] += 1
            queue = self._queues.setdefault(registry, deque())
            queue.append((key, replace(blob, source=Stoppable(blob.source, self._stop)), repository))
            self._changed.notify_all()
            if self._workers[registry] < min(self._jobs, self._unfinished[registry]):
                self._workers[registry] += 1
                # daemons: a connection that hangs must not keep an interrupted build alive
                name = f"push-{len(self._threads)}"
                thread = threading.Thread(target=self._work, args=(registry,), name=name, daemon=True)
                self._threads.append(thread)
                thread.start()

    def finish(self, image: Pushable, destinations: Sequence[Reference]) -> None:
        """Complete the push of `image`: all blobs, then its manifest under each destination's tag.

        Nothing is tagged unless every blob is in every repository. Raises RegistryError, and what the blobs' sources
        raise.
        """
        self._push_blobs(image, destinations)
        for destination in dict.fromkeys(destinations):
            try:
                self._tag(image, destination)
            except RegistryError as error:
                if not set(error.codes) & set(_BLOB_UNKNOWN):
                    raise
                log(self._progress, "warning", f"{error.message}; looking for what is missing")
                self._known.clear()
                self._push_blobs(image, destinations)
                self._tag(image, destination)

    def check_permission(self, repository: Reference) -> None:
        """Raises RegistryError unless this user may push to `repository`. Leaves no upload open."""
        self.registries.check_permission(repository)

    def cancel(self) -> None:
        """Give up what is not finished, at once if the network lets go of it, else within about two seconds."""
        with self._changed:
            self._failure = self._failure or Cancelled()
            self._stop.set()
            self._queues.clear()
            self._changed.notify_all()
        self._join(_SECONDS_TO_NOTICE)
        if any(thread.is_alive() for thread in self._threads):
            self.registries.abandon()
            self._join(_SECONDS_TO_STOP)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.cancel()

    def _push_blobs(self, image: Pushable, destinations: Sequence[Reference]) -> None:
        blobs, first = (*image.layers, image.config_blob), first_repositories(destinations)
        for repository in first:
            for blob in blobs:
                self.start(blob, repository)
        self._wait()
        sources = {repository.registry: repository for repository in first}
        for destination in destinations:
            source = sources[destination.registry]
            for blob in blobs:
                if destination.repository != source.repository:
                    self.start(replace(blob, origin=source), destination)
        self._wait()

    def _tag(self, image: Pushable, destination: Reference) -> None:
        data = image.manifest_bytes
        self._progress.emit(Transfer("push", str(destination), 0, len(data)))
        self.registries.push_manifest(destination, image.descriptor.media_type, data)
        self._progress.emit(Transfer("push", str(destination), len(data), len(data)))

    def _join(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))

    def _wait(self) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._failure is not None or not self._unfinished.total())
            self._raise_failure()

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise self._failure

    def _work(self, registry: str) -> None:
        while task := self._next(registry):
            _, blob, repository = task
            try:
                self.registries.push_blob(blob, repository, stopped=self._stop.is_set)
            except BaseException as error:
                self._fail(error)
                return
            with self._changed:
                self._unfinished[registry] -= 1
                self._changed.notify_all()

    def _next(self, registry: str) -> tuple[_Key, Blob, Reference] | None:
        with self._changed:
            self._changed.wait_for(lambda: self._queues.get(registry) or self._stop.is_set())
            return None if self._stop.is_set() else self._queues[registry].popleft()

    def _fail(self, error: BaseException) -> None:
        with self._changed:
            self._failure = self._failure or error
            self._stop.set()
            self._queues.clear()
            self._changed.notify_all()


def first_repositories(destinations: Sequence[Reference]) -> list[Reference]:
    """The first destination on each registry: where blobs are uploaded; all others mount from there."""
    first: dict[str, Reference] = {}
    for destination in destinations:
        first.setdefault(destination.registry, destination)
    return list(first.values())


@dataclass(frozen=True, slots=True)
class Stoppable:
    """A BlobSource that ends with Cancelled once `stop` is set."""

    source: BlobSource
    stop: threading.Event

    @contextmanager
    def open(self) -> Iterator[Readable]:
        if self.stop.is_set():
            raise Cancelled
        with self.source.open() as stream:
            yield _StoppableReader(stream, self.stop)


class _StoppableReader:
    def __init__(self, stream: Readable, stop: threading.Event) -> None:
        self._stream, self._stop = stream, stop

    def read(self, size: int = -1, /) -> bytes:
        if self._stop.is_set():
            raise Cancelled
        return self._stream.read(size)


def _is_foreign(blob: Blob) -> bool:
    """True for a layer that lives elsewhere and may not be pushed (image-spec, "Non-Distributable Layers")."""
    media_type = blob.descriptor.media_type
    return bool(blob.descriptor.urls) and ("foreign" in media_type or "nondistributable" in media_type)
