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
    Markers(index, tree.fork()).hide(tree)
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
    """The whiteouts and opaque directories of one layer, and what they hide of the layers `below`.

    Links of the layers below are followed, unless the layer has something of its own in place of the link: then nothing
    of what the link pointed to is seen through it. Nor is anything seen below what another marker hides.
    """

    def __init__(self, index: LayerIndex, below: FileTree) -> None:
        paths = [path for path, _ in index.members if PREFIX in path and _is_marker(path)]
        self._below = below
        self._own = {path: entry.kind for path, entry in index.members} if paths else {}
        self._marked = {_marked(path) for path in paths}
        places = {path: place for path in paths if (place := self._place(path)) is not None}
        self._opaque = {path: place for path, place in places.items() if opaque_directory(path) is not None}
        self._gone = {path: place for path, place in places.items() if path not in self._opaque}
        self._idle = len(paths) - len(places) + sum(self.needed(path) is None for path in places)

    @property
    def depend_on_below(self) -> bool:
        """Whether overlayfs cannot take them as they are.

        It would list the name of a whiteout that hides nothing, and it always merges the roots of layers.
        """
        return self._idle > 0 or "" in self._opaque.values()

    def hide(self, tree: FileTree) -> None:
        """Remove from a copy of the layers below what is hidden."""
        for place in self._opaque.values():
            tree.clear(place)
        for place in self._gone.values():
            tree.remove(place)

    def needed(self, path: str) -> str | None:
        """What the marker `path` hides; None if that is nothing, or hidden by something else anyway."""
        opaque = self._opaque.get(path)
        place = self._gone.get(path, opaque)
        if place is None or (opaque is not None and opaque in self._gone.values()):
            return None
        hiding = {*self._opaque.values(), *self._gone.values()}
        replaced = [*parents(place), place] if opaque is not None else parents(place)
        if any(self._own.get(each, Kind.DIRECTORY) is not Kind.DIRECTORY for each in replaced):
            return None
        return None if any(above in hiding for above in _above(place)) else place

    def _place(self, path: str) -> str | None:
        for directory in parents(path):
            kind = self._own.get(directory, Kind.DIRECTORY)
            own = directory in self._own
            if kind is not Kind.DIRECTORY or (own and not self._is_directory(directory)):
                return None
        if any(above in self._marked for above in _above(_marked(path))):
            return None
        if (opaque := opaque_directory(path)) is not None:
            place = self._below.find(opaque).path
            return place if self._below.is_directory(place) else None
        found = self._below.find(_marked(path), follow=False)
        return None if found.entry is None else found.path

    def _is_directory(self, path: str) -> bool:
        return self._below.is_directory(self._below.find(path, follow=False).path)


def _marked(path: str) -> str:
    """What the marker `path` is about."""
    opaque = opaque_directory(path)
    return opaque if opaque is not None else whited_out(path) or ""


def _above(path: str) -> list[str]:
    """The directories above `path`, the root too."""
    return ["", *parents(path)] if path else []


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
