"""Files put in their places in the container's root."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Iterator, Sequence

from builder.layer.changes import Changes
from builder.layer.entry import Entry, FileContent, Kind
from builder.layer.paths import join
from builder.rootfs.directory import DirectoryWriter
from builder.rootfs.in_place.container import Container
from builder.rootfs.in_place.whole import whole_directories
from builder.rootfs.layer_files import LayerContent, TakenLayer
from builder.rootfs.place import place_changes, place_entries
from builder.rootfs.tree import FileTree

_KERNEL = ("proc", "sys", "dev")

Untouched = dict[tuple[int, str], str]
"""Where the files of layers are as long as no command has changed them: from (id of LayerFiles, path there)."""


class Unpacking:
    """Writes entries to the root, but for those that meet what is protected: they are in the image alone.

    Attributes:
        hidden: paths of the tree that were not written although nothing is protected there, but below.
    """

    def __init__(self, container: Container, writer: DirectoryWriter) -> None:
        self._container, self._writer = container, writer
        self.hidden: set[str] = set()

    def place_tree(self, tree: FileTree) -> None:
        """Write a tree. Raises OSError."""
        place_entries(self._writer, self._admitted(tree.walk()))

    def place_changes(self, changes: Changes) -> None:
        """Write changes. Raises OSError."""
        admitted = {path: entry for path, entry in changes.items() if self.admits(path, entry)}
        place_changes(self._writer, admitted, overlay=False)

    def place_image(self, tree: FileTree, layers: Sequence[TakenLayer]) -> Untouched:
        """Write a base image's tree, by renaming what its unpacked `layers` have. Raises OSError."""
        placing = _ImagePlacing(self, tree, layers, self._container, self._writer)
        placing.place("")
        return placing.finish()

    def _admitted(self, entries: Iterable[tuple[str, Entry]]) -> Iterator[tuple[str, Entry]]:
        for path, entry in entries:
            self._container.check()
            if self.admits(path, entry):
                yield path, entry

    def admits(self, path: str, entry: Entry | None) -> bool:
        """Whether a path is to be written or removed; tells people if commands will not see it."""
        protected = self._container.protected
        covering = protected.covering(path)
        if covering is not None:
            if entry is not None:
                self._warn(path, entry, covering)
            return False
        if path in protected.above and (entry is None or entry.kind is not Kind.DIRECTORY):
            if entry is not None and self._container.is_directory(path) and not self._container.shift(path):
                self.hidden.add(path)
                below = next(each for each in sorted(protected.paths) if each.startswith(f"{path}/"))
                self._container.warn_once(
                    path,
                    f"the image has a {_NAMES[entry.kind]} at /{path}, on the way to /{below} of the container: "
                    "it is in the image, but commands see a directory, and what they write there is not in the image",
                )
                return False
            return entry is not None
        return True

    def _warn(self, path: str, entry: Entry, covering: str) -> None:
        """Tell of what commands do not see. A mount of the same kind is no surprise."""
        if covering.split("/")[0] in _KERNEL:
            return
        here = f"{self._container.root}/{covering}"
        if path == covering:
            if not os.path.lexists(here) or (entry.kind is Kind.DIRECTORY) == os.path.isdir(here):
                return
            what = f"a {_NAMES[entry.kind]} at /{path}"
        else:
            what = f"files below /{covering}"
        owner = "a mount of" if covering in self._container.protected.mounts else "kept by"
        self._container.warn_once(
            covering,
            f"the image has {what}, and /{covering} is {owner} this container: the image keeps them, "
            "but commands see what the container has there, and what they change there is not in the image",
        )


class _ImagePlacing:
    """The files of an image on their way from the directories of its layers to their places."""

    def __init__(
        self,
        unpacking: Unpacking,
        tree: FileTree,
        layers: Sequence[TakenLayer],
        container: Container,
        writer: DirectoryWriter,
    ) -> None:
        self._unpacking, self._tree, self._container, self._writer = unpacking, tree, container, writer
        self._layers = {id(layer.files): layer for layer in layers}
        self._whole = whole_directories(tree, layers)
        self._untouched: Untouched = {}
        self._placed: dict[int, str] = {}
        self._others: list[tuple[str, Entry]] = []

    def place(self, directory: str) -> None:
        """Write what is in a directory of the tree."""
        for name, entry in sorted(self._tree.children(directory)):
            path = join(directory, name)
            self._container.check()
            admitted = self._unpacking.admits(path, entry)
            if entry.kind is not Kind.DIRECTORY:
                if admitted:
                    self._place_file(path, entry)
            elif admitted and path in self._whole and self._is_free(path):
                self._place_whole(path, self._whole[path])
            else:
                if admitted:
                    self._writer.put(path, entry)
                self.place(path)

    def finish(self) -> Untouched:
        """Write what is in no layer's directory: further names of files of lower layers, and what has other bytes."""
        for path, entry in self._others:
            first = self._placed.get(id(entry))
            if first is not None:
                os.link(f"{self._container.root}/{first}", f"{self._container.root}/{path}", follow_symlinks=False)
        place_entries(self._writer, [each for each in self._others if id(each[1]) not in self._placed])
        return self._untouched

    def _is_free(self, path: str) -> bool:
        return path not in self._container.protected.above

    def _place_whole(self, path: str, layer: TakenLayer) -> None:
        if not self._rename(path, layer):
            self._writer.put(path, layer.entries[path])
            self.place(path)
            return
        for below, entry in self._tree.walk(path):
            if isinstance(entry.content, LayerContent):
                self._note(below, entry, entry.content)

    def _place_file(self, path: str, entry: Entry) -> None:
        content = entry.content
        layer = self._layers.get(id(content.files)) if isinstance(content, LayerContent) else None
        if layer is None or path not in layer.entries:
            self._others.append((path, entry))
            return
        assert isinstance(content, LayerContent)
        if not self._rename(path, layer):
            if id(entry) in self._placed:
                self._others.append((path, entry))
                return
            with FileContent(f"{layer.directory}/{path}").open() as data:
                self._writer.put(path, entry, data)
        self._note(path, entry, content)

    def _note(self, path: str, entry: Entry, content: LayerContent) -> None:
        self._placed.setdefault(id(entry), path)
        self._untouched[id(content.files), content.path] = self._placed[id(entry)]

    def _rename(self, path: str, layer: TakenLayer) -> bool:
        """Take a file or directory that has its owner, mode and time already; False if that takes a copy."""
        try:
            os.rename(f"{layer.directory}/{path}", f"{self._container.root}/{path}")
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            return False
        return True


_NAMES = {
    Kind.FILE: "file",
    Kind.HARDLINK: "file",
    Kind.SYMLINK: "symlink",
    Kind.DIRECTORY: "directory",
    Kind.CHAR: "device",
    Kind.BLOCK: "device",
    Kind.FIFO: "pipe",
}
