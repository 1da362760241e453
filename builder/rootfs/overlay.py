"""A RootFs upon overlayfs: base layers and finished instructions below, a command's upper directory is its diff."""

from __future__ import annotations

import os
import shutil
import stat
from itertools import count
from pathlib import Path

from builder.layer.changes import Changes
from builder.layer.paths import join
from builder.rootfs.base import OverlayDirectories
from builder.rootfs.diff import Differences
from builder.rootfs.directory import DirectoryWriter, Ownership
from builder.rootfs.place import place_changes
from builder.rootfs.stat import is_whiteout
from builder.rootfs.tree import FileTree
from builder.rootfs.walk import WalkRootFs
from builder.storage.failure import explained

_MOST_LOWERS = 490
"""Directories that one overlay is mounted from; the kernel takes 500 (``OVL_MAX_STACK``)."""
_MOST_LOWERS_OF_OLD = 200
"""The same before Linux 6.5, where they must be named in one page of options."""


class OverlayRootFs:
    """See RootFs.

    Args:
        scratch: an empty directory of its own, on a filesystem that overlayfs takes as upper; removed by `close`.
        lowers: the layers below, topmost first; never changed.
    """

    frozen = True

    def __init__(self, scratch: Path, lowers: tuple[str, ...], ownership: Ownership) -> None:
        self._scratch, self._lowers, self._ownership = scratch, list(lowers), ownership
        self._pending: list[Changes] = []
        self._upper: str | None = None
        self._numbers = count()
        self._forks = 0

    def add(self, changes: Changes) -> None:
        if changes:
            self._pending.append(changes)

    @property
    def full(self) -> bool:
        """Whether it has as many layers as can be mounted upon one another."""
        return len(self._lowers) + bool(self._pending) > most_lowers(os.uname().release)

    def flattened(self, tree: FileTree) -> WalkRootFs:
        """The same files, which `tree` describes, as a single directory. This one must stay until that is closed."""
        scratch = self._scratch.with_name(f"{self._scratch.name}.flat")
        with explained("write", scratch):
            scratch.mkdir(mode=0o700)
        return WalkRootFs(scratch, tree.fork(), self._ownership)

    def prepare(self) -> OverlayDirectories:
        self._flush()
        with explained("write", self._scratch):
            upper = self._new_directory("upper")
            work = self._new_directory("work")
            if not self._lowers:
                self._lowers.append(self._new_directory("empty"))
        self._upper = upper
        return OverlayDirectories(lowers=tuple(self._lowers), upper=upper, work=work)

    def snapshot(self, tree: FileTree) -> Changes:
        upper, self._upper = self._upper, None
        assert upper is not None
        with explained("read", Path(upper)):
            changes = upper_changes(upper, tree, self._ownership)
        if changes:
            self._lowers.insert(0, upper)
        else:
            shutil.rmtree(upper, ignore_errors=True)
        return changes

    def fork(self, tree: FileTree, *, last: bool = False) -> OverlayRootFs:
        self._flush()
        self._forks += 1
        scratch = self._scratch.with_name(f"{self._scratch.name}.{self._forks}")
        with explained("write", scratch):
            scratch.mkdir(mode=0o700)
        return OverlayRootFs(scratch, tuple(self._lowers), self._ownership)

    def close(self) -> None:
        shutil.rmtree(self._scratch, ignore_errors=True)

    def _flush(self) -> None:
        if not self._pending:
            return
        with explained("write", self._scratch):
            directory = self._new_directory("files")
            writer = DirectoryWriter(directory, self._ownership)
            for changes in self._pending:
                place_changes(writer, changes, overlay=True)
            writer.finish()
        self._pending = []
        self._lowers.insert(0, directory)

    def _new_directory(self, kind: str) -> str:
        path = self._scratch / f"{next(self._numbers)}-{kind}"
        path.mkdir(parents=True)
        path.chmod(0o755)  # whatever the umask: this is what the command sees as its root
        return str(path)


def most_lowers(release: str) -> int:
    """How many directories an overlay takes below its upper one, by the kernel's release (``6.1.0-18-amd64``)."""
    major, minor = (int("".join(filter(str.isdigit, part)) or 0) for part in f"{release}.0".split(".")[:2])
    return _MOST_LOWERS if (major, minor) >= (6, 5) else _MOST_LOWERS_OF_OLD


def upper_changes(upper: str, tree: FileTree, ownership: Ownership) -> Changes:
    """What an overlay's upper directory says was changed. Raises OSError."""
    found = Differences(upper, tree, owners=ownership.owners)
    _scan(upper, "", tree, ownership.opaque, False, found)
    return found.finish()


def _scan(upper: str, path: str, tree: FileTree, opaque: str, hidden: bool, found: Differences) -> None:
    """Compare one directory. `hidden`: nothing of the lower layers shows through in it."""
    names = set()
    location = join(upper, path)
    with os.scandir(location) as entries:
        for each in entries:
            status = each.stat(follow_symlinks=False)
            below = join(path, each.name)
            names.add(each.name)
            if is_whiteout(status):
                found.removed(below)
            elif stat.S_ISDIR(status.st_mode):
                found.directory(below, status)
                _scan(upper, below, tree, opaque, hidden or _is_opaque(each.path, opaque), found)
            else:
                found.other(below, status)
    if hidden:
        for name, _ in tree.children(path):
            if name not in names:
                found.removed(join(path, name))


def _is_opaque(location: str, attribute: str) -> bool:
    try:
        return os.getxattr(location, attribute, follow_symlinks=False) in (b"y", b"x")
    except OSError:
        return False
