"""Layers put upon one another: a layer's members applied to a FileTree."""

from __future__ import annotations

from collections.abc import Callable

from builder.errors import LayerError
from builder.layer.entry import Content, Entry, Kind
from builder.layer.paths import join, parents, split
from builder.layer.whiteouts import PREFIX, is_reserved, opaque_directory, whited_out
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
    own = own_directories(index)
    for path, _ in index.members:
        if (hidden := hidden_by(path, tree, own)) is not None:
            (tree.remove if opaque_directory(path) is None else tree.clear)(hidden)
    places: dict[str, str] = {}
    resolved: dict[str, str] = {"": ""}
    for path, entry in index.members:
        parent, name = split(path)
        if PREFIX in path and (is_reserved(path) or whited_out(path) is not None):
            continue
        place = resolved.get(parent)
        if place is None:
            place = resolved[parent] = _resolved(tree, parent)
        place = join(place, name)
        if _redirects(tree.entry(place), entry):
            resolved = {"": ""}  # what was resolved through it no longer holds
        tree.put(place, _placed(tree, entry, place, content_of, what))
        places[path] = place
    return places


def own_directories(index: LayerIndex) -> set[str]:
    """The directories that a layer has itself."""
    return {path for path, entry in index.members if entry.kind is Kind.DIRECTORY}


def hidden_by(path: str, below: FileTree, own: set[str]) -> str | None:
    """What the member `path` hides of the layers `below`; None if it is no marker, or nothing can be there.

    Links of the layers below are followed, unless the layer has a directory of its `own` in place of the link: then
    nothing of what the link pointed to is seen through it.
    """
    opaque, gone = opaque_directory(path), whited_out(path)
    if opaque is None and gone is None:
        return None
    for directory in parents(path):
        if directory in own and not below.is_directory(below.find(directory, follow=False).path):
            return None
    return below.find(opaque).path if opaque is not None else below.find(gone or "", follow=False).path


def _redirects(old: Entry | None, new: Entry) -> bool:
    """Whether a path that runs through `old` leads somewhere else once `new` is there."""
    if old is None:
        return False
    return old.kind is Kind.SYMLINK or (old.kind is Kind.DIRECTORY and new.kind is not Kind.DIRECTORY)


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
