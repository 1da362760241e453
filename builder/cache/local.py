"""The cache on this machine: records in the state directory, layers in its blob store.

Any number of builds may use it at once: a record appears complete or not at all, and names its blob by digest. What is
damaged is a miss with a warning, and is built again.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from builder.cache import inputs
from builder.cache.base import CachedLayer, CacheKey, Work
from builder.cache.keys import Component
from builder.cache.record import Record, inputs_path, lock_path, record_path
from builder.errors import BuilderError, LayerError, StorageError
from builder.progress import Progress, log
from builder.storage.atomic import write_atomically
from builder.storage.blob import Blob
from builder.storage.blobs import BlobStore
from builder.storage.failure import explained
from builder.storage.locks import shared

ORIGIN = "local cache"
_CHUNK = 1 << 20


class LocalCache:
    """A LayerCache below `directory`.

    Args:
        directory: ``cache`` in the state directory.
        blobs: the state directory's; layers that are not in it are not stored.
    """

    near = True

    def __init__(self, directory: Path, blobs: BlobStore, progress: Progress) -> None:
        self.directory, self._blobs, self._progress = directory, blobs, progress
        self._lock = threading.Lock()
        self._read_only = False
        self._unreadable = False

    def accepts(self, work: Work) -> bool:
        return True

    def lookup(self, key: CacheKey) -> CachedLayer | None:
        path = record_path(self.directory, key)
        if self._unreadable or not path.exists():
            return None
        try:
            with shared(lock_path(self.directory)):
                return self._found(path, key)
        except FileNotFoundError:
            return None  # it was removed a moment ago
        except LayerError as error:
            log(self._progress, "warning", f"{path} in the local cache cannot be used: {error.message}")
        except StorageError as error:
            self._give_up_reading(error.message)
        except OSError as error:
            self._give_up_reading(error.strerror or str(error))
        return None

    def store(self, key: CacheKey, result: CachedLayer) -> None:
        if self._read_only or not self._blobs.has(result.blob.descriptor.digest, result.blob.descriptor.size):
            return
        try:
            with explained("write", self.directory):
                self._write(key, result)
        except BuilderError as error:
            with self._lock:
                warned, self._read_only = self._read_only, True
            if not warned:
                log(self._progress, "warning", f"the local cache takes nothing more: {error.message}")

    def describe(self, key: CacheKey, components: Sequence[Component]) -> None:
        """Keep what a key was made from, so that a later build can say what has changed."""
        path = inputs_path(self.directory, key)
        if self._read_only or path.exists():
            return
        with contextlib.suppress(BuilderError, OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(path, inputs.to_json(components))

    def _found(self, path: Path, key: CacheKey) -> CachedLayer | None:
        record = Record.from_json(path.read_bytes(), key)
        if record is None:
            return None
        blob = Blob(descriptor=record.layer, source=self._blobs.source(record.layer))
        try:
            status = os.stat(self._blobs.path(record.layer.digest))
        except FileNotFoundError:
            return None
        if (status.st_size, status.st_mtime_ns) != (record.layer.size, record.blob_mtime_ns):
            self._verify(blob)
            record = replace(record, blob_mtime_ns=status.st_mtime_ns)
            with contextlib.suppress(BuilderError):  # a state directory that is read-only serves as well
                write_atomically(path, record.to_json())
        with contextlib.suppress(PermissionError):
            os.utime(path)
        return CachedLayer(
            blob=blob,
            diff_id=record.diff_id,
            created=record.created,
            identity=record.identity,
            below=record.below,
            work=record.work,
            instruction=record.instruction,
            origin=ORIGIN,
        )

    def _verify(self, blob: Blob) -> None:
        """Read the blob; a damaged one is removed, so that nobody else stumbles over it. Raises LayerError."""
        try:
            with blob.source.open() as stream:
                while stream.read(_CHUNK):
                    pass
        except BuilderError as error:
            with contextlib.suppress(BuilderError):
                self._blobs.remove(blob.descriptor.digest)
            raise LayerError(error.message) from None

    def _write(self, key: CacheKey, result: CachedLayer) -> None:
        layer = result.blob.descriptor
        mtime = os.stat(self._blobs.path(layer.digest)).st_mtime_ns
        record = Record(
            key=key,
            layer=layer,
            diff_id=result.diff_id,
            created=result.created,
            identity=result.identity,
            below=result.below,
            work=result.work,
            instruction=result.instruction,
            blob_mtime_ns=mtime,
        )
        path = record_path(self.directory, key)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, record.to_json())

    def _give_up_reading(self, why: str) -> None:
        with self._lock:
            warned, self._unreadable = self._unreadable, True
        if not warned:
            log(self._progress, "warning", f"the local cache cannot be read: {why}")
