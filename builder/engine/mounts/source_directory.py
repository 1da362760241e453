"""A part of a tree as a directory or file on disk."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from builder.layer.entry import Entry, Kind
from builder.layer.paths import join
from builder.rootfs.directory import DirectoryWriter, Ownership
from builder.rootfs.place import place_entries
from builder.rootfs.tree import SourceTree
from builder.storage.failure import explained


def directory_of(tree: SourceTree, source: str, place: Path, ownership: Ownership) -> Path | None:
    """Write what `tree` has at `source` to the new path `place`; None if there is nothing. Raises StorageError."""
    found = tree.find(source)
    if found.entry is None:
        return None
    with explained("write", place):
        place.mkdir(mode=0o755)
        writer = DirectoryWriter(str(place), ownership)
        name = "root"
        place_entries(writer, [(name, found.entry), *_below(tree, found.path, name, found.entry)])
        writer.finish()
    return place / name


def _below(tree: SourceTree, source: str, target: str, entry: Entry) -> Iterator[tuple[str, Entry]]:
    if entry.kind is not Kind.DIRECTORY:
        return
    for name in tree.names(source):
        below = tree.entry(join(source, name))
        if below is not None:
            yield join(target, name), below
            yield from _below(tree, join(source, name), join(target, name), below)
