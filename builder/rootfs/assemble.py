"""Layers put upon one another: a layer's members applied to a FileTree."""

from __future__ import annotations

from collections.abc import Callable

from builder.errors import LayerError
from builder.layer.entry import Content, Entry, Kind
from builder.layer.paths import join, split
from builder.layer.whiteouts import is_reserved, opaque_directory, whited_out
from builder.rootfs.index import LayerIndex
from builder.rootfs.tree import FileTree

ContentOf = Callable[[str], Content]


def apply_layer(tree: FileTree, index: LayerIndex, content_of: ContentOf, what: str) -> dict[str, str]:
    """Apply a layer as containerd does: whiteouts first, parents through the links of what is below.

    Args:
        content_of: gives the content of the regular file at a path (the one it ends up at).

    Returns:
        where each member that is no marker ended up, by its own path.

    Raises:
        LayerError: a hardlink whose target is nowhere.
    """
    for path, _ in index.members:
        if (opaque := opaque_directory(path)) is not None:
            tree.clear(_resolved(tree, opaque))
        elif (gone := whited_out(path)) is not None:
            parent, name = split(gone)
            tree.remove(join(_resolved(tree, parent), name))
    places: dict[str, str] = {}
    resolved: dict[str, str] = {"": ""}
    for path, entry in index.members:
        parent, name = split(path)
        if name.startswith(".wh.") and (is_reserved(path) or whited_out(path) is not None):
            continue
        place = resolved.get(parent)
        if place is None:
            place = resolved[parent] = _resolved(tree, parent)
        place = join(place, name)
        if entry.kind is not Kind.DIRECTORY and place in resolved:
            resolved = {"": ""}  # a directory became something else, so what was resolved through it no longer holds
        tree.put(place, _placed(tree, entry, place, content_of, what))
        places[path] = place
    return places


def _placed(tree: FileTree, entry: Entry, place: str, content_of: ContentOf, what: str) -> Entry:
    if entry.kind is Kind.HARDLINK:
        parent, name = split(entry.link)
        target = tree.entry(join(_resolved(tree, parent), name))
        if target is None or target.kind is Kind.DIRECTORY:
            raise LayerError(f"{what} has a hardlink /{place} to /{entry.link}, which is not there")
        return target
    if entry.kind is Kind.FILE and entry.content is None:
        return entry._replace(content=content_of(place))
    return entry


def _resolved(tree: FileTree, directory: str) -> str:
    if not directory or tree.is_directory(directory):
        return directory
    return tree.find(directory).path
