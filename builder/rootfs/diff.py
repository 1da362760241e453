"""What is different on disk from what the tree says, gathered into Changes (BuildKit's notion of a difference)."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import BinaryIO, NamedTuple

from builder.layer.entry import Entry, FileContent, Kind
from builder.layer.paths import join, split
from builder.rootfs.stat import entry_of, kind_of
from builder.rootfs.tree import FileTree

_CHUNK = 1 << 20

SameBytes = Callable[[str, Entry, Entry], bool]
"""From a path, what it was and what it is, two files of one size, to whether their bytes are the same."""


class _Name(NamedTuple):
    """One of the names of a file that has several."""

    path: str
    entry: Entry
    changed: bool
    links: int


@dataclass(frozen=True, slots=True)
class LinkedContent:
    """The bytes of a file with several names, some of which a later command may give to something else."""

    names: tuple[str, ...]
    inode: int

    def open(self) -> BinaryIO:
        for name in self.names:
            try:
                if os.lstat(name).st_ino == self.inode:
                    return FileContent(name).open()
            except (FileNotFoundError, NotADirectoryError):
                continue
        return FileContent(self.names[0]).open()


class Differences:
    """Gathers the changes of one snapshot.

    Args:
        root: the directory that paths are below.
        tree: what was there before.
        owners: whether owners on disk mean anything; else files keep the tree's, and new ones are 0:0.
        same_bytes: how files of which nothing else changed are compared.
    """

    def __init__(self, root: str, tree: FileTree, *, owners: bool, same_bytes: SameBytes | None = None) -> None:
        self._root, self._tree, self._owners = root, tree, owners
        self._same_bytes = same_bytes or have_same_bytes
        self._changes: dict[str, Entry | None] = {}
        self._linked: dict[tuple[int, int], list[_Name]] = {}

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
            self.removed(path)  # a socket, which no layer holds, is there instead
            return
        old = self._tree.entry(path)
        entry = self._entry(path, status, old)
        if entry is None:
            return
        changed = old is None or not self._same(path, old, entry)
        if status.st_nlink > 1:
            names = self._linked.setdefault((status.st_dev, status.st_ino), [])
            names.append(_Name(path, entry, changed, status.st_nlink))
        elif changed:
            self._changes[path] = entry

    def incomplete(self) -> set[int]:
        """The inodes of changed files that have more names than were compared."""
        return {
            inode
            for (_, inode), names in self._linked.items()
            if len(names) < names[0].links and any(name.changed for name in names)
        }

    def finish(self) -> dict[str, Entry | None]:
        """All changes, hardlinks joined and parents added."""
        for (_, inode), names in self._linked.items():
            # One new or changed name carries the others along, else they would no longer be one file.
            if any(name.changed for name in names):
                paths = sorted(name.path for name in names)
                entry = names[0].entry
                if entry.content is not None:
                    locations = tuple(join(self._root, path) for path in paths)
                    entry = entry._replace(content=LinkedContent(locations, inode))
                self._changes |= dict.fromkeys(paths, entry)
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

    def _same(self, path: str, old: Entry, new: Entry) -> bool:
        """Whether a file, link or device is what it was: type, mode, owner, target, capability, time, size, bytes."""
        if (old.kind, old.link, old.device) != (new.kind, new.link, new.device):
            return False
        if (old.size, old.mtime) != (new.size, new.mtime) or not _same_owner_and_mode(old, new):
            return False
        if old.kind is not Kind.FILE:
            return True
        return _capability(old) == _capability(new) and (not old.size or self._same_bytes(path, old, new))


def _same_owner_and_mode(old: Entry, new: Entry) -> bool:
    return (old.mode, old.uid, old.gid) == (new.mode, new.uid, new.gid) or (
        old.kind is Kind.SYMLINK and (old.uid, old.gid) == (new.uid, new.gid)
    )


def _capability(entry: Entry) -> bytes | None:
    return entry.xattrs.get("security.capability") if entry.xattrs else None


def have_same_bytes(path: str, old: Entry, new: Entry) -> bool:
    """Whether two files of the same size have the same bytes. Raises OSError."""
    assert old.content is not None and new.content is not None, path
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
