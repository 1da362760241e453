"""The files of a base image: its layers as one FileTree and, when something must run on them, as directories."""

from __future__ import annotations

import hashlib
import threading
from concurrent.futures import Executor, Future
from functools import partial
from pathlib import Path

from builder.errors import LayerError
from builder.layer.entry import Kind
from builder.layer.paths import join, parents, split
from builder.layer.whiteouts import is_reserved, opaque_directory, whited_out
from builder.rootfs.assemble import apply_layer, hidden_by, own_directories
from builder.rootfs.directory import DirectoryWriter
from builder.rootfs.index import LayerIndex
from builder.rootfs.layer_files import LayerFiles
from builder.rootfs.tree import FileTree
from builder.rootfs.unpacked import LayerStore
from builder.storage.blob import Blob

_Loaded = tuple[LayerIndex, Path | None]


class ImageFiles:
    """The layers of one image, read side by side, each at most once as headers and once as files.

    Thread-safe. Nothing is read before `start`, `tree` or `lowers`.

    Args:
        layers: lowest first.
        executor: where layers are read.
    """

    def __init__(self, store: LayerStore, layers: tuple[Blob, ...], executor: Executor) -> None:
        self._store, self._layers, self._executor = store, layers, executor
        self._lock = threading.RLock()
        self._loading: list[Future[_Loaded]] = []
        self._unpacking = False
        self._tree: FileTree | None = None
        self._files: dict[int, LayerFiles] = {}
        self._below: dict[int, FileTree] = {}
        self._places: dict[int, dict[str, str]] = {}

    def start(self, *, unpack: bool) -> None:
        """Begin to read the layers in the background; `unpack` if their files will be wanted too. Idempotent."""
        with self._lock:
            if self._loading and (self._unpacking or not unpack):
                return
            self._unpacking = unpack
            load = self._store.unpack if unpack else self._headers
            self._loading = [self._executor.submit(load, layer) for layer in self._layers]

    def tree(self) -> FileTree:
        """The image's FileTree; the caller's own. Raises LayerError, DigestMismatch, RegistryError, StorageError."""
        with self._lock:
            if self._tree is None:
                self.start(unpack=False)
                self._tree = self._assembled([future.result()[0] for future in self._loading])
            return self._tree.fork()

    def lowers(self) -> tuple[str, ...]:
        """The directories of all layers, topmost first, to be mounted upon one another."""
        self.start(unpack=True)
        with self._lock:
            self.tree()
            return tuple(str(self._files[number].directory()) for number in reversed(range(len(self._layers))))

    def _headers(self, layer: Blob) -> _Loaded:
        return self._store.index(layer), None

    def _assembled(self, indexes: list[LayerIndex]) -> FileTree:
        tree = FileTree()
        for number, index in enumerate(indexes):
            what = f"layer {self._layers[number].descriptor.digest}"
            if not index.self_contained:
                self._below[number] = tree.fork()
            files = LayerFiles(self._store, self._layers[number], index, partial(self._unpacked, number))
            self._files[number] = files
            self._places[number] = apply_layer(tree, index, files.content, what)
        return tree

    def _unpacked(self, number: int) -> Path:
        """The directory of one layer, unpacked if it is not yet."""
        index, place = self._loaded(number)
        return place or self._store.unpack_upon(
            self._layers[number], index, self._chain(number), lambda writer: self._write(writer, number)
        )

    def _loaded(self, number: int) -> _Loaded:
        if self._unpacking:
            return self._loading[number].result()
        return self._store.unpack(self._layers[number])

    def _chain(self, number: int) -> str:
        digests = " ".join(str(layer.descriptor.digest) for layer in self._layers[: number + 1])
        return hashlib.sha256(digests.encode()).hexdigest()[:16]

    def _write(self, writer: DirectoryWriter, number: int) -> None:
        """Unpack a layer at the places where its members end up upon the layers below."""
        below, places = self._below[number], self._places[number]
        own = own_directories(self._store.index(self._layers[number]))
        after = FileTree()
        for member in self._store.members(self._layers[number]):
            path, entry = member.path, member.entry
            if opaque_directory(path) is not None or whited_out(path) is not None:
                if self._store.ownership.modes:
                    self._write_marker(writer, path, hidden_by(path, below, own), after, below)
                continue
            if is_reserved(path):
                continue
            place = places[path]
            self._write_parents(writer, place, after, below)
            if entry.kind is not Kind.HARDLINK:
                writer.put(place, entry, member.data)
            else:
                target = places.get(entry.link) or _resolved(below, entry.link)
                if after.entry(target) is not None:
                    writer.link(place, target)
                else:
                    self._write_copy(writer, place, target, below)
            after.put(place, entry)

    def _write_marker(
        self, writer: DirectoryWriter, path: str, hidden: str | None, after: FileTree, below: FileTree
    ) -> None:
        if hidden is None or below.entry(hidden) is None:
            return
        self._write_parents(writer, hidden, after, below)
        (writer.whiteout if opaque_directory(path) is None else writer.opaque)(hidden)

    def _write_parents(self, writer: DirectoryWriter, place: str, after: FileTree, below: FileTree) -> None:
        for parent in parents(place):
            if not after.is_directory(parent):
                entry = below.entry(parent)
                if entry is not None and entry.kind is Kind.DIRECTORY:
                    writer.put(parent, entry)
                    after.put(parent, entry)

    def _write_copy(self, writer: DirectoryWriter, place: str, target: str, below: FileTree) -> None:
        entry = below.entry(target)
        if entry is None or entry.kind is Kind.DIRECTORY:
            raise LayerError(f"a hardlink /{place} to /{target}, which is no file")
        if entry.content is None:
            writer.put(place, entry)
            return
        with entry.content.open() as data:
            writer.put(place, entry, data)


def _resolved(below: FileTree, path: str) -> str:
    parent, name = split(path)
    return join(below.find(parent).path, name)
