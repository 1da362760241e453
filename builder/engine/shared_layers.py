"""Layers that builds for several platforms have in common, written once: what COPY takes from the context."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from pathlib import Path

from builder.engine.layers import Layer, Packer
from builder.image.media_types import Family
from builder.layer.changes import Changes
from builder.layer.entry import BytesContent, Content, FileContent


class SharedPacker:
    """A Packer that gives equal changes the same layer.

    Only of files of the context, which nobody changes during a build, can that be told by their paths: a command may
    give another file the same size and time.

    Args:
        packer: writes the layers.
        context: the directory of the context.
    """

    def __init__(self, packer: Packer, context: Path) -> None:
        self._packer, self._context = packer, f"{context}/"
        self._known: dict[Hashable, Future[Layer]] = {}
        self._lock = threading.Lock()

    def pack(self, changes: Changes, family: Family, finished: Callable[[Layer], None]) -> Future[Layer]:
        """As Packer.pack; `finished` is told of each layer once."""
        key = self._key(changes, family)
        if key is None:
            return self._packer.pack(changes, family, finished)
        with self._lock:
            found = self._known.get(key)
            if found is None:
                found = self._known[key] = self._packer.pack(changes, family, finished)
        return found

    def _key(self, changes: Changes, family: Family) -> Hashable | None:
        """What tells the layer from others; None if it has files from elsewhere."""
        first: dict[int, int] = {}
        words: list[Hashable] = [family]
        for number, (path, entry) in enumerate(sorted(changes.items(), key=lambda change: change[0])):
            if entry is None:
                words.append(path)
                continue
            if not self._lasts(entry.content):
                return None
            xattrs = tuple(sorted(entry.xattrs.items())) if entry.xattrs else None
            # hardlinks are the same object
            words.append((path, first.setdefault(id(entry), number), *entry._replace(xattrs=None), xattrs))
        return tuple(words)

    def _lasts(self, content: Content | None) -> bool:
        if isinstance(content, FileContent):
            return content.path.startswith(self._context)
        return content is None or isinstance(content, BytesContent)
