"""What is different on disk from what the tree says, gathered into Changes (BuildKit's notion of a difference)."""

from __future__ import annotations

import os

from builder.layer.entry import Entry, Kind
from builder.layer.paths import join, split
from builder.rootfs.stat import entry_of, kind_of
from builder.rootfs.tree import FileTree

_CHUNK = 1 << 20


class Differences:
    """Gathers the changes of one snapshot.

    Args:
        root: the directory that paths are below.
        tree: what was there before.
        owners: whether owners on disk mean anything; else files keep the tree's, and new ones are 0:0.
    """

    def __init__(self, root: str, tree: FileTree, *, owners: bool) -> None:
        self._root, self._tree, self._owners = root, tree, owners
        self._changes: dict[str, Entry | None] = {}
        self._linked: dict[tuple[int, int], list[tuple[str, Entry, bool]]] = {}

    def removed(self, path: str) -> None:
        if self._tree.entry(path) is not None:
            self._changes[path] = None

    def directory(self, path: str, status: os.stat_result) -> None:
        """Compare a directory; its times do not count."""
        old = self._tree.entry(path)
        entry = self._entry(path, status, old)
        if entry is None:
            return
        if old is None or old.kind is not Kind.DIRECTORY or not _same_owner_and_mode(old, entry):
            self._changes[path] = entry

    def other(self, path: str, status: os.stat_result) -> None:
        """Compare anything but a directory."""
        if kind_of(status) is None:
            return
        old = self._tree.entry(path)
        entry = self._entry(path, status, old)
        if entry is None:
            return
        changed = old is None or not same(old, entry)
        if status.st_nlink > 1:
            self._linked.setdefault((status.st_dev, status.st_ino), []).append((path, entry, changed))
        elif changed:
            self._changes[path] = entry

    def finish(self) -> dict[str, Entry | None]:
        """All changes, hardlinks joined and parents added."""
        for names in self._linked.values():
            # One new or changed name carries the others along, else they would no longer be one file.
            if any(changed for _, _, changed in names):
                entry = min(names)[1]
                self._changes |= {path: entry for path, _, _ in names}
        for path in list(self._changes):
            self._add_parents(path)
        return self._changes

    def _add_parents(self, path: str) -> None:
        parent = split(path)[0]
        while parent and parent not in self._changes:
            location = f"{self._root}/{parent}"
            self._changes[parent] = self._entry(parent, os.lstat(location), self._tree.entry(parent))
            parent = split(parent)[0]

    def _entry(self, path: str, status: os.stat_result, old: Entry | None) -> Entry | None:
        owner = None
        if not self._owners:
            owner = (old.uid, old.gid) if old is not None and old.kind is kind_of(status) else (0, 0)
        return entry_of(join(self._root, path), status, owner=owner)


def same(old: Entry, new: Entry) -> bool:
    """Whether a file, link or device is what it was: type, mode, owner, target, capability, time, size and bytes."""
    if (old.kind, old.link, old.device, old.size, old.mtime) != (new.kind, new.link, new.device, new.size, new.mtime):
        return False
    if not _same_owner_and_mode(old, new):
        return False
    return old.kind is not Kind.FILE or (_capability(old) == _capability(new) and _same_bytes(old, new))


def _same_owner_and_mode(old: Entry, new: Entry) -> bool:
    return (old.mode, old.uid, old.gid) == (new.mode, new.uid, new.gid) or (
        old.kind is Kind.SYMLINK and (old.uid, old.gid) == (new.uid, new.gid)
    )


def _capability(entry: Entry) -> bytes | None:
    return entry.xattrs.get("security.capability") if entry.xattrs else None


def _same_bytes(old: Entry, new: Entry) -> bool:
    if not old.size:
        return True
    assert old.content is not None and new.content is not None
    with old.content.open() as left, new.content.open() as right:
        while True:
            chunk = left.read(_CHUNK)
            other = right.read(len(chunk) or 1)
            while len(other) < len(chunk) and (more := right.read(len(chunk) - len(other))):
                other += more
            if chunk != other:
                return False
            if not chunk:
                return True
