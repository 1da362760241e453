"""A stage's root filesystem that is the container's own."""

from __future__ import annotations

import os
import shutil
import stat
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import BinaryIO

from builder.layer.changes import Changes
from builder.layer.entry import Entry, Kind
from builder.rootfs.base import PlainDirectory
from builder.rootfs.directory import DirectoryWriter, Ownership
from builder.rootfs.image_files import ImageFiles
from builder.rootfs.in_place.container import Container
from builder.rootfs.in_place.stage_files import StageFiles, rebased
from builder.rootfs.in_place.unpacking import Unpacking, Untouched
from builder.rootfs.layer_files import extract_contents
from builder.rootfs.tree import DEFAULT_DIRECTORY, FileTree
from builder.rootfs.watched import Signature, Watched
from builder.storage.failure import explained

_MOUNT_POINTS = ("dev", "proc", "sys")
"""Directories that a RUN leaves in an image that has none, as BuildKit does."""


class InPlaceRootFs:
    """See RootFs.

    Args:
        scratch: an empty directory of its own; removed by `close`.
        tree: the root filesystem so far, written by the first `prepare`; a fork, used by nobody else.
        image: the image that `tree` is of, if it is one.
    """

    frozen = False

    def __init__(
        self, container: Container, scratch: Path, tree: FileTree, ownership: Ownership, image: ImageFiles | None = None
    ) -> None:
        self._container, self._scratch, self._ownership = container, scratch, ownership
        self._initial: FileTree | None = tree
        self._image = image
        self._pending: list[Changes] = []
        self._files = StageFiles(str(scratch / "root"))
        self._untouched: Untouched = {}
        self._forks = 0
        self._watched = Watched(
            container.root,
            owners=ownership.owners,
            left_out=container.protected.paths,
            borrowed=container.protected.above,
        )

    def add(self, changes: Changes) -> None:
        if changes:
            self._pending.append(changes)
            self._watched.forget(changes)
            self._touch(changes.__contains__)

    def prepare(self) -> PlainDirectory:
        with self._container.turn, explained("write", Path("/")):
            returned = self._container.occupy(self._files, self._scratch)
            self._watched.keep_digests()
            if self._initial is not None or self._pending:
                self._write()
                self._watched.remember()
            elif returned:
                self._watched.remember()
            self._watched.wait_for_tick(self._scratch)
        return PlainDirectory(path=self._container.root)

    def snapshot(self, tree: FileTree) -> Changes:
        with self._container.turn, explained("read", Path("/")):
            changes = self._watched.changes(tree, partial(self._extract, tree))
        for name in _MOUNT_POINTS:
            if tree.entry(name) is None:
                changes[name] = Entry(Kind.DIRECTORY, 0o755, mtime=int(time.time()))
        return rebased(changes, self._files)

    def fork(self, tree: FileTree, *, last: bool = False) -> InPlaceRootFs:
        scratch = self._new_scratch()
        if self._initial is None:
            other = InPlaceRootFs(self._container, scratch, tree.fork(), self._ownership)
            if last:
                self._hand_over(other)
            return other
        other = InPlaceRootFs(self._container, scratch, self._initial, self._ownership, self._image)
        other._pending = list(self._pending)
        return other

    def _hand_over(self, heir: InPlaceRootFs) -> None:
        """Let `heir` go on with these very files, wherever they are."""
        heir._initial, heir._pending = None, list(self._pending)
        heir._files, heir._untouched, heir._watched = self._files, self._untouched, self._watched

    def _new_scratch(self) -> Path:
        self._forks += 1
        scratch = self._scratch.with_name(f"{self._scratch.name}.{self._forks}")
        with explained("write", scratch):
            scratch.mkdir(mode=0o700)
        return scratch

    def close(self) -> None:
        self._container.vacate(self._files)
        shutil.rmtree(self._scratch, ignore_errors=True)

    def _write(self) -> None:
        initial, self._initial = self._initial, None
        writer = DirectoryWriter(self._container.root, self._ownership)
        unpacking = Unpacking(self._container, writer)
        if initial is not None:
            writer.put("", initial.entry("") or DEFAULT_DIRECTORY)
            self._write_initial(unpacking, initial)
        for changes in self._pending:
            unpacking.place_changes(changes)
        writer.finish()
        self._pending = []
        self._watched.absent |= writer.skipped
        self._watched.left_out |= unpacking.hidden

    def _write_initial(self, unpacking: Unpacking, tree: FileTree) -> None:
        if self._image is None:
            unpacking.place_tree(tree)
            return
        taken = self._scratch / "layers"
        taken.mkdir()
        layers = self._image.take(taken)
        self._untouched = unpacking.place_image(tree, layers)
        for layer in layers:
            layer.files.taken(self._opener(id(layer.files)))
        shutil.rmtree(taken, ignore_errors=True)
        self._image = None

    def _opener(self, layer: int) -> Callable[[str], BinaryIO | None]:
        def opened(path: str) -> BinaryIO | None:
            place = self._untouched.get((layer, path))
            return None if place is None else self._files.open((place,))

        return opened

    def _touch(self, touched: Callable[[str], bool]) -> None:
        """Forget the files of the base's layers that are not any more what they were."""
        for key, path in list(self._untouched.items()):
            if touched(path):
                del self._untouched[key]

    def _extract(self, tree: FileTree, paths: Sequence[str], signatures: Mapping[str, Signature]) -> None:
        """Get those files of the base whose bytes may have to be compared, all at once."""
        before = self._watched.signatures
        self._touch(lambda path: before.get(path) != signatures.get(path))
        extract_contents(entry for path in paths if (entry := tree.entry(path)) and self._may_be_same(path, entry))

    def _may_be_same(self, path: str, entry: Entry) -> bool:
        if entry.kind is not Kind.FILE or not entry.size:
            return False
        status = os.lstat(f"{self._container.root}/{path}")
        found = status.st_size, int(status.st_mtime), stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid
        return found == (entry.size, entry.mtime, entry.mode, entry.uid, entry.gid)
