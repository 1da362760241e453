"""Files put in their places in the container's root."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from builder.layer.changes import Changes
from builder.layer.entry import Entry, FileContent, Kind
from builder.rootfs.directory import DirectoryWriter
from builder.rootfs.in_place.container import Container
from builder.rootfs.layer_files import LayerContent, LayerFiles
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
        admitted = {path: entry for path, entry in changes.items() if self._admits(path, entry)}
        place_changes(self._writer, admitted, overlay=False)

    def place_image(self, tree: FileTree, layers: Mapping[LayerFiles, Path]) -> Untouched:
        """Write a base image's tree, taking files by rename out of its unpacked `layers`. Raises OSError."""
        first_paths: dict[int, str] = {}
        untouched: Untouched = {}
        others: list[tuple[str, Entry]] = []
        for path, entry in self._admitted(tree.walk()):
            if entry.kind is Kind.DIRECTORY:
                self._writer.put(path, entry)
                continue
            layer = layers.get(entry.content.files) if isinstance(entry.content, LayerContent) else None
            if layer is None or not isinstance(entry.content, LayerContent):
                others.append((path, entry))
                continue
            first = first_paths.setdefault(id(entry), path)
            if first is not path:
                self._writer.link(path, first)
                continue
            self._adopt(path, f"{layer}/{entry.content.path}", entry)
            untouched[id(entry.content.files), entry.content.path] = path
        place_entries(self._writer, others)
        return untouched

    def _adopt(self, path: str, source: str, entry: Entry) -> None:
        """Take a file that has its owner, mode and time already."""
        try:
            os.rename(source, f"{self._container.root}/{path}")
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            with FileContent(source).open() as data:
                self._writer.put(path, entry, data)

    def _admitted(self, entries: Iterable[tuple[str, Entry]]) -> Iterator[tuple[str, Entry]]:
        for path, entry in entries:
            self._container.check()
            if self._admits(path, entry):
                yield path, entry

    def _admits(self, path: str, entry: Entry | None) -> bool:
        protected = self._container.protected
        covering = protected.covering(path)
        if covering is not None:
            if entry is not None:
                self._warn(path, entry, covering)
            return False
        if path in protected.above and (entry is None or entry.kind is not Kind.DIRECTORY):
            if entry is not None and self._container.is_at(path):
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


_NAMES = {
    Kind.FILE: "file",
    Kind.HARDLINK: "file",
    Kind.SYMLINK: "symlink",
    Kind.DIRECTORY: "directory",
    Kind.CHAR: "device",
    Kind.BLOCK: "device",
    Kind.FIFO: "pipe",
}
