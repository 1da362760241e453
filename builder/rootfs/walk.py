"""A RootFs that is a plain directory: what a command changed is found by looking at every file's lstat."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from builder.layer.changes import Changes
from builder.rootfs.base import PlainDirectory
from builder.rootfs.directory import DirectoryWriter, Ownership
from builder.rootfs.place import place_changes, place_entries
from builder.rootfs.tree import DEFAULT_DIRECTORY, FileTree
from builder.rootfs.watched import Watched
from builder.storage.failure import explained


class WalkRootFs:
    """See RootFs.

    Args:
        scratch: an empty directory of its own; removed by `close`.
        tree: the root filesystem so far, written out by the first `prepare`; a fork, used by nobody else.
    """

    frozen = False

    def __init__(self, scratch: Path, tree: FileTree, ownership: Ownership) -> None:
        self._scratch, self._root = scratch, str(scratch / "root")
        self._ownership = ownership
        self._initial: FileTree | None = tree
        self._pending: list[Changes] = []
        self._watched = Watched(self._root, owners=ownership.owners)
        self._forks = 0

    def add(self, changes: Changes) -> None:
        if changes:
            self._pending.append(changes)
            self._watched.forget(changes)

    def prepare(self) -> PlainDirectory:
        with explained("write", self._scratch):
            self._watched.keep_digests()
            if self._initial is not None or self._pending:
                self._write()
                self._watched.remember()
            self._watched.wait_for_tick(self._scratch)
        return PlainDirectory(path=self._root)

    def snapshot(self, tree: FileTree) -> Changes:
        with explained("read", Path(self._root)):
            return self._watched.changes(tree)

    def fork(self, tree: FileTree, *, last: bool = False) -> WalkRootFs:
        self._forks += 1
        scratch = self._scratch.with_name(f"{self._scratch.name}.{self._forks}")
        with explained("write", scratch):
            scratch.mkdir(mode=0o700)
        return WalkRootFs(scratch, tree.fork(), self._ownership)

    def close(self) -> None:
        shutil.rmtree(self._scratch, ignore_errors=True)

    def _write(self) -> None:
        initial, self._initial = self._initial, None
        if initial is not None:
            os.makedirs(self._root, exist_ok=True)
        writer = DirectoryWriter(self._root, self._ownership)
        if initial is not None:
            writer.put("", initial.entry("") or DEFAULT_DIRECTORY)
            place_entries(writer, initial.walk())
        for changes in self._pending:
            place_changes(writer, changes, overlay=False)
        writer.finish()
        self._pending = []
        self._watched.absent |= writer.skipped
