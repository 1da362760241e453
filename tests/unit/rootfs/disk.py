"""Real files as the tests see them: listed without the builder's own code, and overlays mounted in a child process."""

from __future__ import annotations

import os
import pickle
import signal
import stat
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from builder.isolation.command import OverlayRoot
from builder.isolation.sandbox.root import mount_overlay
from builder.layer.entry import Entry, Kind
from builder.linux.mount import MS_PRIVATE, MS_REC, mount
from builder.linux.namespaces import CLONE_NEWNS, unshare
from builder.rootfs.base import OverlayDirectories
from builder.rootfs.directory import Ownership
from builder.rootfs.tree import FileTree

T = TypeVar("T")
Listing = dict[str, tuple]

ROOT = Ownership(owners=True)
_KINDS = {
    stat.S_IFREG: "file",
    stat.S_IFDIR: "directory",
    stat.S_IFLNK: "link",
    stat.S_IFCHR: "char",
    stat.S_IFBLK: "block",
    stat.S_IFIFO: "pipe",
}
_NAMES = {
    Kind.FILE: "file",
    Kind.DIRECTORY: "directory",
    Kind.SYMLINK: "link",
    Kind.CHAR: "char",
    Kind.BLOCK: "block",
    Kind.FIFO: "pipe",
}


def on_disk(root: str | Path) -> Listing:
    """Everything below `root`: kind, mode, owner, time (not of directories), content, capability, other names."""
    listing: Listing = {}
    inodes: dict[int, list[str]] = {}
    for directory, directories, files in os.walk(root):
        for name in directories + files:
            location = os.path.join(directory, name)
            path = os.path.relpath(location, root)
            status = os.lstat(location)
            if stat.S_ISSOCK(status.st_mode):
                continue  # no layer holds one
            kind = _KINDS[stat.S_IFMT(status.st_mode)]
            capability = None
            if kind == "file" and "security.capability" in os.listxattr(location, follow_symlinks=False):
                capability = os.getxattr(location, "security.capability")
            listing[path] = (
                kind,
                0o777 if kind == "link" else stat.S_IMODE(status.st_mode),
                (status.st_uid, status.st_gid),
                None if kind == "directory" else status.st_mtime_ns // 10**9,
                _content(location, kind, status),
                capability,
            )
            if kind != "directory" and status.st_nlink > 1:
                inodes.setdefault(status.st_ino, []).append(path)
    return _with_groups(listing, inodes)


def _content(location: str, kind: str, status: os.stat_result) -> object:
    if kind == "file":
        return Path(location).read_bytes()
    if kind == "link":
        return os.readlink(location)
    return status.st_rdev if kind in ("char", "block") else None


def in_tree(tree: FileTree) -> Listing:
    """The same of a FileTree."""
    listing: Listing = {}
    objects: dict[int, list[str]] = {}
    for path, entry in tree.walk():
        kind = _NAMES[entry.kind]
        listing[path] = (
            kind,
            0o777 if kind == "link" else entry.mode,
            (entry.uid, entry.gid),
            None if kind == "directory" else entry.mtime,
            _entry_content(entry),
            (entry.xattrs or {}).get("security.capability"),
        )
        if kind != "directory":
            objects.setdefault(id(entry), []).append(path)
    return _with_groups(listing, objects)


def _entry_content(entry: Entry) -> object:
    if entry.kind is Kind.FILE:
        if entry.content is None:
            assert entry.size == 0
            return b""
        with entry.content.open() as stream:
            data = stream.read()
        assert len(data) == entry.size
        return data
    if entry.kind is Kind.SYMLINK:
        return entry.link
    return os.makedev(*entry.device) if entry.device else None


def _with_groups(listing: Listing, groups: dict[int, list[str]]) -> Listing:
    names = {path: tuple(sorted(paths)) for paths in groups.values() if len(paths) > 1 for path in paths}
    return {path: (*fields, names.get(path, ())) for path, fields in sorted(listing.items())}


def in_mount_namespace(action: Callable[[], T]) -> T:
    """The result of `action`, called in a child process whose mounts nobody else sees."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            signal.alarm(60)
            os.close(read)
            unshare(CLONE_NEWNS)
            mount("", "/", flags=MS_REC | MS_PRIVATE)
            result = (True, action())
        except BaseException:
            result = (False, traceback.format_exc())
        with os.fdopen(write, "wb") as stream:
            pickle.dump(result, stream)
        os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as stream:
        succeeded, value = pickle.load(stream)
    os.waitpid(child, 0)
    assert succeeded, value
    return value


def on_overlay(directories: OverlayDirectories, target: Path, action: Callable[[str], T]) -> T:
    """The result of `action` on the overlay, which is mounted as commands see it."""
    target.mkdir(exist_ok=True)

    def mounted() -> T:
        root = OverlayRoot(lowers=directories.lowers, upper=directories.upper, work=directories.work)
        mount_overlay(root, str(target), user_xattr=False)
        return action(str(target))

    return in_mount_namespace(mounted)
