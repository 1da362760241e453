"""A RootFs that is a plain directory: what a command changed is found by looking at every file's lstat."""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import time
from pathlib import Path
from typing import NamedTuple

from builder.layer.changes import Changes
from builder.layer.entry import Entry, Kind
from builder.layer.paths import join
from builder.rootfs.base import PlainDirectory
from builder.rootfs.diff import Differences, have_same_bytes
from builder.rootfs.directory import DirectoryWriter, Ownership
from builder.rootfs.place import place_changes, place_entries
from builder.rootfs.tree import DEFAULT_DIRECTORY, FileTree
from builder.storage.failure import explained

_LONGEST_TICK = 3.0


class Signature(NamedTuple):
    """What lstat says of a file that nobody has touched; times in nanoseconds."""

    inode: int
    ctime: int
    mtime: int
    size: int
    mode: int
    uid: int
    gid: int


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
        self._signatures: dict[str, Signature] = {}
        self._skipped: set[str] = set()
        self._forks = 0
        self._fresh: dict[str, Entry] = {}
        self._digests: dict[str, bytes] = {}

    def add(self, changes: Changes) -> None:
        if changes:
            self._pending.append(changes)
            for path in changes:
                self._fresh.pop(path, None)
                self._digests.pop(path, None)

    def prepare(self) -> PlainDirectory:
        with explained("write", self._scratch):
            self._remember()
            if self._initial is not None or self._pending:
                self._write()
                self._signatures = {}
                scan(self._root, "", self._signatures)
            wait_for_tick(self._scratch, max((each.ctime for each in self._signatures.values()), default=0))
        return PlainDirectory(path=self._root)

    def snapshot(self, tree: FileTree) -> Changes:
        found = Differences(self._root, tree, owners=self._ownership.owners, same_bytes=self._same_bytes)
        signatures: dict[str, Signature] = {}
        with explained("read", Path(self._root)):
            self._compare("", tree, signatures, found)
            self._compare_other_names(signatures, found)
            changes = found.finish()
        self._signatures = signatures
        self._fresh |= {path: entry for path, entry in changes.items() if entry and entry.kind is Kind.FILE}
        return changes

    def fork(self, tree: FileTree) -> WalkRootFs:
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
        self._skipped |= writer.skipped

    def _remember(self) -> None:
        """Keep digests of what the last command wrote: the next one may change it where it is."""
        for path, entry in self._fresh.items():
            if entry.size and entry.content is not None:
                self._digests[path] = _digest(entry)
        self._fresh = {}

    def _same_bytes(self, path: str, old: Entry, new: Entry) -> bool:
        known = self._digests.get(path)
        return have_same_bytes(path, old, new) if known is None else known == _digest(new)

    def _compare_other_names(self, signatures: dict[str, Signature], found: Differences) -> None:
        """Compare the names of changed hardlinks that did not change themselves: of a directory that was renamed."""
        wanted = found.incomplete()
        if wanted:
            for path, signature in signatures.items():
                if signature.inode in wanted and self._signatures.get(path) == signature:
                    found.other(path, os.lstat(join(self._root, path)))

    def _compare(self, path: str, tree: FileTree, signatures: dict[str, Signature], found: Differences) -> None:
        names = set()
        with os.scandir(join(self._root, path)) as entries:
            for each in entries:
                status = each.stat(follow_symlinks=False)
                below = join(path, each.name)
                names.add(each.name)
                signature = signatures[below] = signature_of(status)
                is_directory = stat.S_ISDIR(status.st_mode)
                if self._signatures.get(below) != signature:
                    (found.directory if is_directory else found.other)(below, status)
                if is_directory:
                    self._compare(below, tree, signatures, found)
        for name, _ in tree.children(path):
            if name not in names and join(path, name) not in self._skipped:
                found.removed(join(path, name))


def _digest(entry: Entry) -> bytes:
    assert entry.content is not None
    with entry.content.open() as stream:
        return hashlib.file_digest(stream, "sha256").digest()  # type: ignore[arg-type]


def signature_of(status: os.stat_result) -> Signature:
    return Signature(
        status.st_ino,
        status.st_ctime_ns,
        status.st_mtime_ns,
        status.st_size,
        status.st_mode,
        status.st_uid,
        status.st_gid,
    )


def scan(root: str, path: str, signatures: dict[str, Signature]) -> None:
    """Note the signatures of everything below `path`. Raises OSError."""
    with os.scandir(join(root, path)) as entries:
        for each in entries:
            status = each.stat(follow_symlinks=False)
            below = join(path, each.name)
            signatures[below] = signature_of(status)
            if stat.S_ISDIR(status.st_mode):
                scan(root, below, signatures)


def wait_for_tick(directory: Path, latest: int) -> None:
    """Wait until a file changed in `directory` gets a ctime after `latest` (nanoseconds).

    Filesystem clocks tick every few milliseconds: a change within the tick of the last look would not show. git looks
    at such files again; waiting out the rest of the tick costs less, and misses nothing.
    """
    probe = directory / ".tick"
    deadline = time.monotonic() + _LONGEST_TICK
    try:
        probe.touch()
        while os.stat(probe).st_ctime_ns <= latest and time.monotonic() < deadline:
            time.sleep(0.001)
            os.utime(probe)
    finally:
        probe.unlink(missing_ok=True)
