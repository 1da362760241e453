"""The files of one layer that is not unpacked yet: as a whole when somebody runs on it, a few of them when asked."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from builder.layer.entry import Entry, FileContent
from builder.rootfs.index import LayerIndex
from builder.rootfs.unpacked import LayerStore
from builder.storage.blob import Blob

_FEW = 0.5


@dataclass(frozen=True, slots=True)
class LayerContent:
    """A file of a layer. Opening it unpacks the layer, unless the file was extracted before."""

    files: LayerFiles
    path: str

    def open(self) -> BinaryIO:
        return FileContent(self.files.location(self.path)).open()


class LayerFiles:
    """Where the bytes of one layer's files are. Thread-safe.

    Args:
        unpack: gives the directory of all its files.
    """

    def __init__(self, store: LayerStore, blob: Blob, index: LayerIndex, unpack: Callable[[], Path]) -> None:
        self._store, self._blob, self._index, self._unpack = store, blob, index, unpack
        self._lock = threading.RLock()
        self._extracted: dict[str, str] = {}
        self._directory: Path | None = None

    def content(self, path: str) -> LayerContent:
        return LayerContent(self, path)

    def directory(self) -> Path:
        """The directory of all files, which are unpacked now if they are not yet."""
        with self._lock:
            if self._directory is None:
                self._directory = self._unpack()
            return self._directory

    def location(self, path: str) -> str:
        """Where the file at `path` of the layer can be read."""
        with self._lock:
            return self._extracted.get(path) or f"{self.directory()}/{path}"

    def extract(self, paths: set[str]) -> None:
        """See to it that `paths` can be read, in one pass over the blob: by themselves if they are few, else all.

        Raises LayerError, DigestMismatch, RegistryError, StorageError.
        """
        with self._lock:
            missing = paths - self._extracted.keys()
            if not missing or self._directory is not None or self._store.is_unpacked(self._blob):
                return
            if self._index.self_contained and self._share_of(missing) <= _FEW:
                self._extracted |= self._store.extract(self._blob, missing)

    def _share_of(self, paths: set[str]) -> float:
        """Which part of the layer's bytes `paths` are."""
        total = sum(entry.size for _, entry in self._index.members)
        wanted = sum(entry.size for path, entry in self._index.members if path in paths)
        return wanted / total if total else 1.0


def extract_contents(entries: Iterable[Entry | None]) -> None:
    """See to it that the contents of `entries` can be read without unpacking whole layers for a few files."""
    wanted: dict[int, tuple[LayerFiles, set[str]]] = {}
    for entry in entries:
        if entry is not None and isinstance(entry.content, LayerContent):
            files = entry.content.files
            wanted.setdefault(id(files), (files, set()))[1].add(entry.content.path)
    for files, paths in wanted.values():
        files.extract(paths)
