"""The layer cache in a registry: an entry is the image ``<repository>:<key>`` (see `entry`), as kaniko's.

A hit costs three small requests; its layer stays where it is until something must read it, and is mounted into the
repository that it is pushed to. Results are stored in the background, and the end of the build waits for that.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Set
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from types import TracebackType
from typing import Self

from builder.cache.base import CachedLayer, CacheKey, Work
from builder.cache.entry import entry_manifest, entry_of, result_of
from builder.cache.freshness import Freshness
from builder.cache.trouble import Trouble
from builder.errors import BuilderError, DigestMismatch, Interrupted, ManifestError
from builder.image.descriptor import Descriptor
from builder.image.reference import Reference
from builder.progress import Progress, log
from builder.registry.client import Registries
from builder.registry.errors import Cancelled, RegistryError
from builder.registry.push import Stoppable
from builder.storage.blob import Blob

_JOBS = 4
_SECONDS_TO_STOP = 2.0
_SECONDS_TO_NOTICE = 0.2


class RegistryCache:
    """A LayerCache in a repository. Use it as a context manager: leaving it waits for what is being stored.

    After an interrupt it waits for nothing.

    Args:
        works: the kinds of instructions whose results are kept here.
        repository: where the entries are; its tag does not count.
        lookups: asks it, and reads hits: without mirrors, and without much patience.
        pushes: stores results; that of the build, so that no layer is uploaded twice. None to store nothing.
    """

    def __init__(
        self,
        repository: Reference,
        lookups: Registries,
        pushes: Registries | None,
        works: Set[Work],
        freshness: Freshness,
        progress: Progress,
    ) -> None:
        self._works = works
        self._repository, self._lookups, self._pushes = repository, lookups, pushes
        self._freshness, self._progress = freshness, progress
        self._reading = Trouble(progress, f"layers of the cache {repository.name} are not used")
        self._writing = Trouble(progress, f"layers are not stored in the cache {repository.name}")
        self._blobs = ThreadPoolExecutor(_JOBS, thread_name_prefix="cached-blobs")
        self._queue: deque[tuple[CacheKey, CachedLayer]] = deque()
        self._stored: set[CacheKey] = set()
        self._unfinished = 0
        self._changed = threading.Condition()
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []

    @property
    def near(self) -> bool:
        return False

    def accepts(self, work: Work) -> bool:
        return work in self._works

    def lookup(self, key: CacheKey) -> CachedLayer | None:
        """The result, once it is known that the registry has its layer; None if there is none that is fresh."""
        if self._reading.over:
            return None
        reference = replace(self._repository, tag=key.hex, digest=None)
        try:
            return self._found(reference)
        except RegistryError as error:
            if error.status != 404:
                self._reading.ends(error.message)
        except (ManifestError, DigestMismatch) as error:
            self._reading.damaged(error.message)
        except Cancelled:
            return None
        except BuilderError as error:
            self._reading.ends(error.message)
        return None

    def store(self, key: CacheKey, result: CachedLayer) -> None:
        """Begin to store a result, unless that was begun before."""
        if self._pushes is None or self._writing.over:
            return
        with self._changed:
            if key in self._stored or self._stop.is_set():
                return
            self._stored.add(key)
            self._unfinished += 1
            self._queue.append((key, result))
            self._changed.notify_all()
            if len(self._threads) < min(_JOBS, self._unfinished):
                thread = threading.Thread(target=self._work, name=f"cache-{len(self._threads)}", daemon=True)
                self._threads.append(thread)
                thread.start()

    def finish(self) -> None:
        """Wait until everything is stored, or has failed, which was warned of."""
        with self._changed:
            self._changed.wait_for(lambda: self._unfinished == 0 or self._stop.is_set())

    def cancel(self) -> None:
        """Give up what is not stored yet, within about two seconds."""
        with self._changed:
            self._stop.set()
            self._queue.clear()
            self._changed.notify_all()
        self._blobs.shutdown(wait=False, cancel_futures=True)
        self._join(_SECONDS_TO_NOTICE)
        if self._pushes is not None and any(thread.is_alive() for thread in self._threads):
            self._pushes.abandon()
            self._join(_SECONDS_TO_STOP)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # what a build has made before it failed is as good as ever, and the next one will want it
        try:
            if error is None or (isinstance(error, BuilderError) and not isinstance(error, Interrupted)):
                self.finish()
        finally:
            self.cancel()

    def _join(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))

    def _found(self, reference: Reference) -> CachedLayer | None:
        fetched = self._lookups.manifest(reference)
        manifest = entry_manifest(fetched.data, fetched.media_type, str(reference))
        layer = self._lookups.blob(self._repository, manifest.layers[0])
        there = self._is_there(manifest.layers[0])
        result = result_of(self._config(manifest.config), layer, str(reference))
        if not self._freshness.is_fresh(result.created):
            log(self._progress, "debug", f"the cached layer {reference} is older than --cache-ttl allows")
            return None
        if self._freshness.is_from_the_future(result.created):
            log(self._progress, "debug", f"the cached layer {reference} is from the future: is the clock right?")
        if not there.result():
            raise ManifestError(f"the registry has no longer the layer of {reference}")
        return result

    def _is_there(self, layer: Descriptor) -> Future[bool]:
        """Ask for the blob in the meantime: an entry may outlive its layer, and then cannot be mounted."""
        return self._blobs.submit(self._lookups.has_blob, self._repository, layer.digest)

    def _config(self, descriptor: Descriptor) -> bytes:
        with self._lookups.open_blob(self._repository, descriptor) as stream:
            return stream.read()

    def _work(self) -> None:
        while task := self._next():
            try:
                self._push(*task)
            except Cancelled:
                pass
            except BuilderError as error:
                self._writing.ends(error.message)
            finally:
                with self._changed:
                    self._unfinished -= 1
                    self._changed.notify_all()

    def _next(self) -> tuple[CacheKey, CachedLayer] | None:
        with self._changed:
            self._changed.wait_for(lambda: self._queue or self._stop.is_set())
            return None if self._stop.is_set() else self._queue.popleft()

    def _push(self, key: CacheKey, result: CachedLayer) -> None:
        """The blobs, then the manifest: an entry that is there is complete."""
        if self._writing.over:
            return
        assert self._pushes is not None
        image = entry_of(result)
        for blob in (*image.layers, image.config_blob):
            self._pushes.push_blob(self._stoppable(blob), self._repository)
        tagged = replace(self._repository, tag=key.hex, digest=None)
        self._pushes.push_manifest(tagged, image.descriptor.media_type, image.manifest_bytes)
        log(self._progress, "debug", f"stored the layer {image.layers[0].descriptor.digest} as {tagged}")

    def _stoppable(self, blob: Blob) -> Blob:
        return replace(blob, source=Stoppable(blob.source, self._stop))
