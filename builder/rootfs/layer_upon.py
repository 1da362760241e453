"""A layer that makes sense only upon the ones below, written as a directory of its own."""

from __future__ import annotations

from collections.abc import Mapping

from builder.errors import LayerError
from builder.layer.entry import Entry, Kind, Member
from builder.layer.paths import join, parents, split
from builder.layer.whiteouts import is_reserved, opaque_directory, whited_out
from builder.rootfs.assemble import Markers
from builder.rootfs.directory import DirectoryWriter
from builder.rootfs.tree import FileTree


class LayerUpon:
    """Writes the members of one layer where they end up upon the layers below.

    Args:
        below: the layers below, as one tree.
        places: where each member that is no marker ends up, by its own path.
        overlay: whether what the layer hides is to be marked for overlayfs.
    """

    def __init__(
        self, writer: DirectoryWriter, *, below: FileTree, places: Mapping[str, str], markers: Markers, overlay: bool
    ) -> None:
        self._writer, self._places, self._markers, self._overlay = writer, places, markers, overlay
        self._below, self._shown = below, below.fork()  # the latter follows what is written
        self._markers.hide(self._shown)
        self._written = FileTree()

    def write(self, member: Member) -> None:
        """Write one member. Raises LayerError, NotSelfContained, OSError."""
        path, entry = member.path, member.entry
        if opaque_directory(path) is not None or whited_out(path) is not None:
            if self._overlay and (hidden := self._markers.needed(path)) is not None:
                self._write_marker(hidden, opaque=opaque_directory(path) is not None)
        elif not is_reserved(path):
            place = self._places[path]
            self._write_directories(parents(place), self._shown)
            if entry.kind is Kind.HARDLINK:
                entry = self._write_hardlink(place, entry.link)
            else:
                self._writer.put(place, entry, member.data)
            if self._overlay and entry.kind is Kind.DIRECTORY and self._was_replaced(place):
                self._writer.opaque(place)
            self._written.put(place, entry)
            self._shown.put(place, entry)

    def _was_replaced(self, place: str) -> bool:
        """Whether something else was written where the layers below have a directory."""
        written = self._written.entry(place)
        return written is not None and written.kind is not Kind.DIRECTORY and self._below.is_directory(place)

    def _write_marker(self, hidden: str, *, opaque: bool) -> None:
        if not opaque:
            self._write_directories(parents(hidden), self._below)
            self._writer.whiteout(hidden)
        elif hidden:
            self._write_directories([*parents(hidden), hidden], self._below)
            self._writer.opaque(hidden)
        else:
            for name in self._below.names(""):  # overlayfs always merges the roots of layers
                self._writer.whiteout(name)

    def _write_directories(self, paths: list[str], tree: FileTree) -> None:
        """Write the directories of the layers below that this layer has no header of."""
        for path in paths:
            entry = tree.entry(path)
            if entry is not None and entry.kind is Kind.DIRECTORY and not self._written.is_directory(path):
                self._writer.put(path, entry)
                self._written.put(path, entry)

    def _write_hardlink(self, place: str, link: str) -> Entry:
        parent, name = split(link)
        target = join(self._shown.find(parent).path, name)
        entry = self._shown.entry(target)
        if entry is None or entry.kind is Kind.DIRECTORY:
            raise LayerError(f"a hardlink /{place} to /{link}, which is no file")
        if self._written.entry(target) is not None:
            self._writer.link(place, target)
        elif entry.content is None:
            self._writer.put(place, entry)
        else:
            # The directory of one layer cannot link to that of another: the file is written once more.
            with entry.content.open() as data:
                self._writer.put(place, entry, data)
        return entry
