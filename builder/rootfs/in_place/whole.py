"""Directories of an image that one layer alone has made: they can be moved as they are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from builder.layer.entry import Entry, Kind
from builder.layer.paths import join, parents
from builder.rootfs.layer_files import LayerContent, TakenLayer
from builder.rootfs.tree import FileTree

_MAYBE_MISSING = (Kind.CHAR, Kind.BLOCK)
"""What unpacking leaves out where the privilege for it is missing."""


def whole_directories(tree: FileTree, layers: Sequence[TakenLayer]) -> dict[str, TakenLayer]:
    """The directories of which the unpacked layer has exactly what the tree has, by path; outermost or not."""
    search = _Search(tree, layers)
    search.look("")
    return search.found


class _Search:
    def __init__(self, tree: FileTree, layers: Sequence[TakenLayer]) -> None:
        self._tree, self._layers = tree, layers
        self._by_files = {id(layer.files): layer for layer in layers}
        self._counts = {id(layer): _counts(layer) for layer in layers}
        self.found: dict[str, TakenLayer] = {}

    def look(self, directory: str) -> tuple[TakenLayer | None, int]:
        """The only layer that what is in `directory` comes from, None if there are several; and how much that is."""
        layers: set[int] = set()
        only: TakenLayer | None = None
        count = 0
        for name, entry in self._tree.children(directory):
            path = join(directory, name)
            layer, below = self._of(path, entry), 0
            if entry.kind is Kind.DIRECTORY:
                inner, below = self.look(path)
                if layer is not None and (inner is layer or below == 0):
                    if self._counts[id(layer)][path] == below:
                        self.found[path] = layer
                else:
                    layer = None
            count += 1 + below
            layers.add(id(layer) if layer else 0)
            only = layer
        return (only if len(layers) == 1 else None), count

    def _of(self, path: str, entry: Entry) -> TakenLayer | None:
        """The layer whose directory has this very entry at `path`."""
        if isinstance(entry.content, LayerContent):
            layer = self._by_files.get(id(entry.content.files))
            return layer if layer is not None and path in layer.entries else None
        if entry.kind in _MAYBE_MISSING:
            return None
        return next((layer for layer in reversed(self._layers) if layer.entries.get(path) is entry), None)


def _counts(layer: TakenLayer) -> Counter[str]:
    """How much the layer has below each directory."""
    counts: Counter[str] = Counter()
    for path in layer.entries:
        counts.update(parents(path))
    return counts
