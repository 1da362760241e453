"""Entries from what lstat says of real files."""

from __future__ import annotations

import os
import stat

from builder.layer.entry import Entry, FileContent, Kind

CAPABILITY = "security.capability"
_KINDS = {
    stat.S_IFREG: Kind.FILE,
    stat.S_IFDIR: Kind.DIRECTORY,
    stat.S_IFLNK: Kind.SYMLINK,
    stat.S_IFCHR: Kind.CHAR,
    stat.S_IFBLK: Kind.BLOCK,
    stat.S_IFIFO: Kind.FIFO,
}


def kind_of(status: os.stat_result) -> Kind | None:
    """The kind of a file; None for a socket, which no layer holds."""
    return _KINDS.get(stat.S_IFMT(status.st_mode))


def entry_of(path: str, status: os.stat_result, *, owner: tuple[int, int] | None = None) -> Entry | None:
    """What is at `path`, whose lstat is `status`; None for a socket. `owner` overrides the file's own.

    Of the extended attributes only ``security.capability`` is taken, as BuildKit's layers have it: others (SELinux
    labels, ACLs, overlayfs' own) belong to the machine, not to the image. Raises OSError.
    """
    kind = kind_of(status)
    if kind is None:
        return None
    uid, gid = owner or (status.st_uid, status.st_gid)
    is_file = kind is Kind.FILE
    return Entry(
        kind,
        status.st_mode & 0o7777,
        uid,
        gid,
        status.st_size if is_file else 0,
        int(status.st_mtime_ns // 1_000_000_000),
        os.readlink(path) if kind is Kind.SYMLINK else "",
        (os.major(status.st_rdev), os.minor(status.st_rdev)) if kind in (Kind.CHAR, Kind.BLOCK) else None,
        capabilities(path) if is_file else None,
        FileContent(path) if is_file else None,
    )


def capabilities(path: str) -> dict[str, bytes] | None:
    """The ``security.capability`` attribute of a file, None if it has none or the filesystem knows none."""
    try:
        # Listing first: asking for an attribute that is not there costs an exception for every file.
        if CAPABILITY in os.listxattr(path, follow_symlinks=False):
            return {CAPABILITY: os.getxattr(path, CAPABILITY, follow_symlinks=False)}
    except OSError:
        return None
    return None


def is_whiteout(status: os.stat_result) -> bool:
    """Whether a file of an overlay's upper directory is a whiteout (a character device 0:0)."""
    return stat.S_ISCHR(status.st_mode) and status.st_rdev == 0
