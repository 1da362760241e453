"""Finding what a command changed by looking at every file's lstat, before and after."""

from __future__ import annotations

import hashlib
import os
import stat
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from builder.layer.entry import Entry, Kind
from builder.layer.paths import join
from builder.rootfs.diff import Differences, have_same_bytes
from builder.rootfs.tree import FileTree

_LONGEST_TICK = 3.0
_TYPE = 0o170000
"""Of st_mode: its bits for the type (inode(7))."""


class Signature(NamedTuple):
    """What lstat says of a file that nobody has touched; times in nanoseconds."""

    inode: int
    ctime: int
    mtime: int
    size: int
    mode: int
    uid: int
    gid: int


Prepare = Callable[[Sequence[str], Mapping[str, Signature]], None]
"""Takes the paths whose signature is another than before, and the signatures of all files."""


class Watched:
    """A directory whose changes are found by walking it.

    Args:
        root: the directory.
        owners: whether owners on disk mean anything (see Differences).
        left_out: paths that are not looked at, with all below them.
        borrowed: directories that are there whether the tree has them or not, because something that is left out is
            below them; by themselves they are no change.

    Attributes:
        absent: paths of the tree that could not be made on disk, and so cannot have been removed.
    """

    def __init__(
        self, root: str, *, owners: bool, left_out: Collection[str] = (), borrowed: Collection[str] = ()
    ) -> None:
        self._root, self._owners = root, owners
        self.left_out, self._borrowed = set(left_out), frozenset(borrowed)
        self.absent: set[str] = set()
        self.signatures: dict[str, Signature] = {}
        self._fresh: dict[str, Entry] = {}
        self._digests: dict[str, bytes] = {}

    def remember(self) -> None:
        """Note what all files are like now. Raises OSError."""
        self.signatures = {}
        self._scan("")

    def forget(self, paths: Iterable[str]) -> None:
        """These are about to be written by somebody else than a command."""
        for path in paths:
            self._fresh.pop(path, None)
            self._digests.pop(path, None)

    def keep_digests(self) -> None:
        """Keep digests of what the last command wrote: the next one may change it where it is."""
        for path, entry in self._fresh.items():
            if entry.size and entry.content is not None:
                self._digests[path] = _digest(entry)
        self._fresh = {}

    def wait_for_tick(self, directory: Path) -> None:
        """Wait until a change would show, with a file in `directory`, which is on the same filesystem."""
        wait_for_tick(directory, max((each.ctime for each in self.signatures.values()), default=0))

    def changes(self, tree: FileTree, prepare: Prepare | None = None) -> dict[str, Entry | None]:
        """What is not as it was at the last look, `tree` being what was there then; parents are included.

        `prepare` is called before contents are compared. Raises OSError.
        """
        signatures: dict[str, Signature] = {}
        touched: list[tuple[str, os.stat_result]] = []
        removed: list[str] = []
        self._compare("", tree, signatures, touched, removed)
        if prepare is not None:
            prepare([path for path, _ in touched], signatures)
        found = Differences(self._root, tree, owners=self._owners, same_bytes=self._same_bytes)
        for path in removed:
            found.removed(path)
        for path, status in touched:
            (found.directory if stat.S_ISDIR(status.st_mode) else found.other)(path, status)
        self._compare_other_names(signatures, found)
        changes = found.finish()
        self.signatures = signatures
        self._fresh |= {path: entry for path, entry in changes.items() if entry and entry.kind is Kind.FILE}
        return changes

    def _scan(self, path: str) -> None:
        # These loops see every file of the image for every command: nothing is looked up or called twice.
        prefix, left_out, signatures = f"{path}/" if path else "", self.left_out, self.signatures
        directories = []
        with os.scandir(join(self._root, path)) as entries:
            for each in entries:
                below = prefix + each.name
                if below in left_out:
                    continue
                status = each.stat(follow_symlinks=False)
                signatures[below] = signature = signature_of(status)
                if signature[4] & _TYPE == stat.S_IFDIR:
                    directories.append(below)
        for below in directories:
            self._scan(below)

    def _compare(
        self,
        path: str,
        tree: FileTree,
        signatures: dict[str, Signature],
        touched: list[tuple[str, os.stat_result]],
        removed: list[str],
    ) -> None:
        prefix, left_out, known = f"{path}/" if path else "", self.left_out, self.signatures.get
        names, directories = set(), []
        with os.scandir(join(self._root, path)) as entries:
            for each in entries:
                name = each.name
                names.add(name)
                below = prefix + name
                if below in left_out:
                    continue
                status = each.stat(follow_symlinks=False)
                signatures[below] = signature = signature_of(status)
                if known(below) != signature and not self._is_borrowed(below, tree):
                    touched.append((below, status))
                if signature[4] & _TYPE == stat.S_IFDIR:
                    directories.append(below)
        for below in directories:
            self._compare(below, tree, signatures, touched, removed)
        for name, _ in tree.children(path):
            below = prefix + name
            if name not in names and below not in self.left_out and below not in self.absent:
                removed.append(below)

    def _is_borrowed(self, path: str, tree: FileTree) -> bool:
        return path in self._borrowed and tree.entry(path) is None

    def _same_bytes(self, path: str, old: Entry, new: Entry) -> bool:
        known = self._digests.get(path)
        return have_same_bytes(path, old, new) if known is None else known == _digest(new)

    def _compare_other_names(self, signatures: dict[str, Signature], found: Differences) -> None:
        """Compare the names of changed hardlinks that did not change themselves: of a directory that was renamed."""
        wanted = found.incomplete()
        if wanted:
            for path, signature in signatures.items():
                if signature.inode in wanted and self.signatures.get(path) == signature:
                    found.other(path, os.lstat(join(self._root, path)))


def _digest(entry: Entry) -> bytes:
    assert entry.content is not None
    with entry.content.open() as stream:
        return hashlib.file_digest(stream, "sha256").digest()  # type: ignore[arg-type]


def signature_of(status: os.stat_result) -> Signature:
    mode, inode, _, _, uid, gid, size, *_ = status
    # Half the time of calling Signature itself.
    return tuple.__new__(Signature, (inode, status.st_ctime_ns, status.st_mtime_ns, size, mode, uid, gid))


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
