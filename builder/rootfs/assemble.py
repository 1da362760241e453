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
    Markers(index).hide(tree)
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


class Markers:
    """The whiteouts and opaque directories of one layer."""

    def __init__(self, index: LayerIndex) -> None:
        self._paths = [path for path, _ in index.members if PREFIX in path and _is_marker(path)]
        self._hiding = {opaque_directory(path) or whited_out(path) for path in self._paths}
        self._own = {path: entry.kind for path, entry in index.members} if self._paths else {}

    def hide(self, tree: FileTree) -> None:
        """Remove from the layers below what the layer hides."""
        for path in self._paths:
            if (hidden := self.hidden(path, tree)) is not None:
                (tree.remove if opaque_directory(path) is None else tree.clear)(hidden)

    def hidden(self, path: str, below: FileTree) -> str | None:
        """What the marker `path` hides of the layers `below`; None if nothing is there.

        Links of the layers below are followed, unless the layer has something of its own in place of the link: then
        nothing of what the link pointed to is seen through it.
        """
        for directory in parents(path):
            kind = self._own.get(directory)
            if kind is None:
                continue
            if kind is not Kind.DIRECTORY or not below.is_directory(below.find(directory, follow=False).path):
                return None
        opaque = opaque_directory(path)
        if opaque is not None:
            place = below.find(opaque).path
            return place if below.is_directory(place) else None
        found = below.find(whited_out(path) or "", follow=False)
        return None if found.entry is None else found.path

    def is_idle(self, path: str, below: FileTree) -> bool:
        """Whether the marker `path` hides nothing, or only what another marker hides.

        Overlayfs would list the name of such a whiteout in a directory that only this layer has.
        """
        hidden, opaque = self.hidden(path, below), opaque_directory(path)
        if hidden is None or any(above in self._hiding for above in parents(path if opaque is None else opaque)):
            return True
        directories = parents(hidden) if opaque is None else [*parents(hidden), hidden]
        return any(self._own.get(directory, Kind.DIRECTORY) is not Kind.DIRECTORY for directory in directories)

    def any_idle(self, below: FileTree) -> bool:
        """Whether a whiteout is; opaque marks do no harm."""
        return any(opaque_directory(path) is None and self.is_idle(path, below) for path in self._paths)


def _is_marker(path: str) -> bool:
    return opaque_directory(path) is not None or whited_out(path) is not None


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
