"""The files of a base image: its layers as one FileTree and, when something must run on them, as directories."""

from __future__ import annotations

import hashlib
import os
import threading
from concurrent.futures import Executor, Future
from functools import partial
from pathlib import Path

from builder.errors import LayerError
from builder.layer.entry import Entry
from builder.rootfs.assemble import Markers, apply_layer
from builder.rootfs.directory import DirectoryWriter, NotSelfContained
from builder.rootfs.index import LayerIndex
from builder.rootfs.layer_files import LayerFiles, TakenLayer
from builder.rootfs.layer_upon import LayerUpon
from builder.rootfs.tree import FileTree
from builder.rootfs.unpacked import LayerStore
from builder.storage.blob import Blob
from builder.storage.kept import keep

_Loaded = tuple[LayerIndex, Path | None]


class ImageFiles:
    """The layers of one image, read side by side, each at most once as headers and once as files.

    Thread-safe. Nothing is read before `start`, `tree` or `lowers`.

    Args:
        layers: lowest first.
        executor: where layers are read.
        begins: an image with the first of these layers, which are not read again if they are being read for it.
    """

    def __init__(
        self, store: LayerStore, layers: tuple[Blob, ...], executor: Executor, begins: ImageFiles | None = None
    ) -> None:
        self._begins = begins
        self._store, self.layers, self._executor = store, layers, executor
        self._lock = threading.RLock()
        self._loading: list[Future[_Loaded]] = []
        self._unpacking = False
        self._tree: FileTree | None = None
        self._files: dict[int, LayerFiles] = {}
        self._below: dict[int, tuple[FileTree, Markers]] = {}
        self._places: dict[int, dict[str, str]] = {}
        self._indexes: list[LayerIndex] = []

    def start(self, *, unpack: bool) -> None:
        """Begin to read the layers in the background; `unpack` if their files will be wanted too. Idempotent."""
        with self._lock:
            if self._loading and (self._unpacking or not unpack):
                return
            self._unpacking = unpack
            load = self._store.unpack if unpack else self._headers
            shared = self._begins.reading(unpack=unpack) if self._begins else []
            own = self.layers[len(shared) :]
            self._loading = [*shared, *(self._executor.submit(load, layer) for layer in own)]

    def keep(self) -> None:
        """The layers will be read more than once; to be called before the first time."""
        for layer in self.layers:
            keep(layer)

    def with_layer(self, layer: Blob) -> ImageFiles:
        """These layers and one more, none of which is read before somebody asks."""
        return ImageFiles(self._store, (*self.layers, layer), self._executor, begins=self._begins or self)

    def reading(self, *, unpack: bool) -> list[Future[_Loaded]]:
        """`start`, and what it has begun."""
        with self._lock:
            self.start(unpack=unpack)
            return list(self._loading)

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
            return tuple(str(self._files[number].directory()) for number in reversed(range(len(self.layers))))

    def take(self, directory: Path) -> list[TakenLayer]:
        """Move the unpacked layers into `directory`, on the filesystem of the state directory.

        They belong to the caller then; others have them unpacked again. Raises as `lowers`, OSError.
        """
        places = self.lowers()
        with self._lock:
            taken: dict[str, Path] = {}
            for number, place in enumerate(dict.fromkeys(places)):
                taken[place] = directory / str(number)
                os.rename(place, taken[place])
            self._loading, self._unpacking = [], False
            return [
                TakenLayer(files=self._files[number], directory=str(taken[place]), entries=self._entries(number))
                for number, place in enumerate(reversed(places))
            ]

    def _entries(self, number: int) -> dict[str, Entry]:
        places = self._places[number]
        return {places[path]: entry for path, entry in self._indexes[number].members if path in places}

    def _headers(self, layer: Blob) -> _Loaded:
        return self._store.index(layer), None

    def _assembled(self, indexes: list[LayerIndex]) -> FileTree:
        tree, self._indexes = FileTree(), indexes
        for number, index in enumerate(indexes):
            what = f"layer {self.layers[number].descriptor.digest}"
            below = tree.fork()
            markers = Markers(index, below)
            if not index.self_contained or (self._store.ownership.marks and markers.depend_on_below):
                self._below[number] = below, markers
            files = LayerFiles(self._store, self.layers[number], index, partial(self._unpacked, number))
            self._files[number] = files
            self._places[number] = apply_layer(tree, index, files.content, what)
        return tree

    def _unpacked(self, number: int) -> Path:
        """The directory of one layer, unpacked if it is not yet."""
        if number not in self._below:
            place = self._loaded(number)[1]
            assert place is not None
            return place
        layer = self.layers[number]
        return self._store.unpack_upon(layer, self._chain(number), lambda writer: self._write(writer, number))

    def _loaded(self, number: int) -> _Loaded:
        if self._unpacking:
            loaded = self._loading[number].result()
            if loaded[1] is None or loaded[1].is_dir():  # else another image has taken it
                return loaded
        return self._store.unpack(self.layers[number])

    def _chain(self, number: int) -> str:
        digests = " ".join(str(layer.descriptor.digest) for layer in self.layers[: number + 1])
        return hashlib.sha256(digests.encode()).hexdigest()[:16]

    def _write(self, writer: DirectoryWriter, number: int) -> None:
        """Unpack a layer at the places where its members end up upon the layers below."""
        layer = self.layers[number]
        upon = LayerUpon(
            writer,
            below=self._below[number][0],
            places=self._places[number],
            markers=self._below[number][1],
            overlay=self._store.ownership.marks,
        )
        try:
            for member in self._store.members(layer):
                upon.write(member)
        except NotSelfContained as error:
            raise LayerError(f"layer {layer.descriptor.digest} cannot be unpacked: {error}") from None
