"""Directories emptied and filled by rename, around what is protected.

A rename fails with EXDEV between filesystems, and on overlayfs for a directory that comes from a lower layer: then its
content is moved one by one, and copied only where even that is not possible.
"""

from __future__ import annotations

import errno
import os
import shutil
import stat
from contextlib import suppress

from builder.layer.paths import join
from builder.rootfs.in_place.protected import ProtectedPaths

_NOT_AT_ONCE = {errno.EXDEV, errno.ENOTEMPTY, errno.EEXIST, errno.EBUSY, errno.EISDIR, errno.ENOTDIR}
NOTHING = ProtectedPaths(())
_UNFINISHED = ".moving-by-builder"
"""End of the name of a copy that is not complete: the process may be killed at any moment."""


def move_content(source: str, target: str, left: ProtectedPaths = NOTHING, path: str = "") -> None:
    """Move what is in the directory `source` into the directory `target`, which gets its owner, mode and times, too.

    What is there already is replaced, directories are merged. Both have `path` of the root filesystem below which
    paths are `left` alone on either side; directories on the way to them are moved as empty ones and stay as well.
    Raises OSError.
    """
    before = os.lstat(source)
    for name in os.listdir(source):
        below = join(path, name)
        if below in left.paths:
            continue
        here, there = f"{source}/{name}", f"{target}/{name}"
        if name.endswith(_UNFINISHED):
            os.unlink(here)
            continue
        if below in left.above and _is_directory(here):
            if not _is_directory(there):
                status = os.lstat(here)
                os.mkdir(there, stat.S_IMODE(status.st_mode))
                copy_metadata(here, there, status)
            move_content(here, there, left, below)
        else:
            move(here, there)
    copy_metadata(source, target, before)


def move(source: str, target: str) -> None:
    """Move anything but the content of mounts. Raises OSError."""
    status = os.lstat(source)
    try:
        os.rename(source, target)
        return
    except OSError as error:
        if error.errno not in _NOT_AT_ONCE:
            raise
    if stat.S_ISDIR(status.st_mode):
        if not _is_directory(target):
            _remove(target)
            os.mkdir(target, 0o700)
        move_content(source, target)
        os.rmdir(source)
        return
    _remove(target)
    try:
        os.rename(source, target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        copy_file(source, target + _UNFINISHED, status)
        os.rename(target + _UNFINISHED, target)
        os.unlink(source)


def copy_tree(source: str, target: str) -> None:
    """Copy a file, or a directory with all that is in it, to the new path `target`. Raises OSError."""
    status = os.lstat(source)
    if not stat.S_ISDIR(status.st_mode):
        copy_file(source, target, status)
        return
    os.mkdir(target, 0o700)
    for name in os.listdir(source):
        copy_tree(f"{source}/{name}", f"{target}/{name}")
    copy_metadata(source, target, status)


def copy_file(source: str, target: str, status: os.stat_result) -> None:
    """Copy anything but a directory; a socket is not copied."""
    if stat.S_ISREG(status.st_mode):
        shutil.copyfile(source, target, follow_symlinks=False)
    elif stat.S_ISLNK(status.st_mode):
        os.symlink(os.readlink(source), target)
    elif stat.S_ISSOCK(status.st_mode):
        return
    else:
        os.mknod(target, status.st_mode, status.st_rdev)
    copy_metadata(source, target, status)


def copy_metadata(source: str, target: str, status: os.stat_result) -> None:
    """Give `target` owner, mode, extended attributes and times of `source`, whose lstat was `status`."""
    os.chown(target, status.st_uid, status.st_gid, follow_symlinks=False)
    if not stat.S_ISLNK(status.st_mode):
        os.chmod(target, stat.S_IMODE(status.st_mode))
    with suppress(OSError):  # a filesystem without them
        for name in os.listxattr(source, follow_symlinks=False):
            with suppress(OSError):  # those that are not ours to set
                os.setxattr(target, name, os.getxattr(source, name, follow_symlinks=False), follow_symlinks=False)
    os.utime(target, ns=(status.st_atime_ns, status.st_mtime_ns), follow_symlinks=False)


def remove_content(root: str, left: ProtectedPaths, path: str = "") -> list[OSError]:
    """Remove what is in the directory `root` but what is `left`; what could not be removed, and why."""
    failures: list[OSError] = []
    for name in os.listdir(root):
        below = join(path, name)
        here = f"{root}/{name}"
        if below in left.paths:
            continue
        try:
            if below in left.above and _is_directory(here):
                failures += remove_content(here, left, below)
                with suppress(OSError):  # something that is protected is in it
                    os.rmdir(here)
            else:
                _remove(here)
        except OSError as error:
            failures.append(error)
    return failures


def _remove(path: str) -> None:
    if _is_directory(path):
        shutil.rmtree(path)
    else:
        with suppress(FileNotFoundError):
            os.unlink(path)


def _is_directory(path: str) -> bool:
    try:
        return stat.S_ISDIR(os.lstat(path).st_mode)
    except FileNotFoundError:
        return False
