"""Changes and trees as real files."""

from __future__ import annotations

from collections.abc import Iterable

from builder.layer.changes import Changes
from builder.layer.entry import Entry, Kind
from builder.rootfs.directory import DirectoryWriter


def place_changes(writer: DirectoryWriter, changes: Changes, *, overlay: bool) -> None:
    """Write `changes`; what was removed becomes a whiteout if `overlay`, else it is removed. Raises OSError."""
    entries: list[tuple[str, Entry]] = []
    for path in sorted(changes):
        entry = changes[path]
        if entry is not None:
            entries.append((path, entry))
        elif overlay:
            writer.whiteout(path)
        else:
            writer.remove(path)
    place_entries(writer, entries)


def place_entries(writer: DirectoryWriter, entries: Iterable[tuple[str, Entry]]) -> None:
    """Write entries with their bytes, parents first; an Entry that comes again becomes a hardlink. Raises OSError."""
    first_paths: dict[int, str] = {}
    for path, entry in entries:
        if entry.kind is Kind.DIRECTORY:
            writer.put(path, entry)
        elif (first := first_paths.setdefault(id(entry), path)) is not path:
            writer.link(path, first)
        elif entry.content is None:
            writer.put(path, entry)
        else:
            with entry.content.open() as data:
                writer.put(path, entry, data)
