"""The files of one layer that is not unpacked yet: as a whole when somebody runs on it, a few of them when asked."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
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
        return self.files.open(self.path)


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
        self._elsewhere: Callable[[str], BinaryIO | None] = _nowhere

    def content(self, path: str) -> LayerContent:
        return LayerContent(self, path)

    def directory(self) -> Path:
        """The directory of all files, which are unpacked now if they are not yet."""
        with self._lock:
            if self._directory is None or not self._directory.is_dir():  # another image of the build may have taken it
                self._directory = self._unpack()
            return self._directory

    def open(self, path: str) -> BinaryIO:
        """The bytes of the file at `path` of the layer."""
        with self._lock:
            if path not in self._extracted and (stream := self._elsewhere(path)):
                return stream
            return FileContent(self._extracted.get(path) or f"{self.directory()}/{path}").open()

    def taken(self, elsewhere: Callable[[str], BinaryIO | None]) -> None:
        """Note that somebody has moved the directory away. `elsewhere` opens files that are still as they were."""
        with self._lock:
            self._directory, self._elsewhere = None, elsewhere

    def extract(self, paths: set[str]) -> None:
        """See to it that `paths` can be read, in one pass over the blob: by themselves if they are few, else all.

        Raises LayerError, DigestMismatch, RegistryError, StorageError.
        """
        with self._lock:
            missing = {path for path in paths - self._extracted.keys() if not self._is_elsewhere(path)}
            if not missing or self._directory is not None or self._store.is_unpacked(self._blob):
                return
            if self._index.self_contained and self._share_of(missing) <= _FEW:
                self._extracted |= self._store.extract(self._blob, missing)

    def _is_elsewhere(self, path: str) -> bool:
        stream = self._elsewhere(path)
        if stream is None:
            return False
        stream.close()
        return True

    def _share_of(self, paths: set[str]) -> float:
        """Which part of the layer's bytes `paths` are."""
        total = sum(entry.size for _, entry in self._index.members)
        wanted = sum(entry.size for path, entry in self._index.members if path in paths)
        return wanted / total if total else 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class TakenLayer:
    """An unpacked layer that belongs to one user.

    Attributes:
        directory: of its files.
        entries: what it has at each place, as its headers say: the very objects of the image's tree, but for files.
    """

    files: LayerFiles
    directory: str
    entries: Mapping[str, Entry]


def _nowhere(_path: str) -> None:
    return None


def extract_contents(entries: Iterable[Entry | None]) -> None:
    """See to it that the contents of `entries` can be read without unpacking whole layers for a few files."""
    wanted: dict[int, tuple[LayerFiles, set[str]]] = {}
    for entry in entries:
        if entry is not None and isinstance(entry.content, LayerContent):
            files = entry.content.files
            wanted.setdefault(id(files), (files, set()))[1].add(entry.content.path)
    for files, paths in wanted.values():
        files.extract(paths)
