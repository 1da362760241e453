"""The root filesystem of a command: mounted, and made ``/``."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import suppress

from builder.isolation.command import DirectoryRoot, OverlayRoot
from builder.isolation.sandbox.attributes import set_attributes
from builder.isolation.sandbox.targets import Root, by_descriptor
from builder.linux.libc import SyscallError
from builder.linux.mount import (
    MNT_DETACH,
    MOUNT_ATTR_NODEV,
    MS_BIND,
    MS_NODEV,
    MS_REC,
    mount,
    mount_filesystem,
    pivot_root,
    umount2,
)

_LONGEST_OPTIONS = 4095  # mount(2) takes a page, with a null byte at its end

# The upper directory is to be a plain diff: no renamed directories, no files without their data, no inode index.
_PLAIN = ("xino=off", "metacopy=off", "redirect_dir=nofollow", "index=off")


def mount_root(root: OverlayRoot | DirectoryRoot, *, user_xattr: bool) -> Root:
    """Mount it, in a mount namespace of this process's own.

    Device nodes in it do not work: outside a user namespace they would open the machine's disks.

    Args:
        user_xattr: keep overlayfs' marks in ``user.`` xattrs, as is needed in a user namespace.
    """
    if isinstance(root, DirectoryRoot):
        return _bind_on_itself(root.path)
    if not root.lowers:
        return _bind_on_itself(root.upper)
    mount_overlay(root, root.work, user_xattr=user_xattr)
    return Root(root.work, upper=root.upper)


def mount_overlay(root: OverlayRoot, target: str, *, user_xattr: bool) -> None:
    """Mount an overlay. Its directories are named by descriptor, which is short and needs no escapes.

    A directory listed twice (empty layers are alike) would be refused; the lower one changes nothing.
    """
    _forget_crash(root.work)
    layers = [_open_directory(path) for path in dict.fromkeys(root.lowers)]
    upper, work = _open_directory(root.upper), _open_directory(root.work)
    try:
        _mount_layers(layers, upper, work, target, user_xattr=user_xattr)
    finally:
        for descriptor in (*layers, upper, work):
            os.close(descriptor)


def pivot(path: str) -> None:
    """Make the mount at `path` the root of all processes in this mount namespace, and let go of the old root."""
    os.chdir(path)
    pivot_root(".", ".")
    umount2(".", MNT_DETACH)  # the old root, which now lies on top of the new one
    os.chdir("/")


def _bind_on_itself(path: str) -> Root:
    mount(path, path, flags=MS_BIND | MS_REC)
    root = Root(path)
    set_attributes(root.descriptor, MOUNT_ATTR_NODEV)
    return root


def _mount_layers(layers: list[int], upper: int, work: int, target: str, *, user_xattr: bool) -> None:
    attempts = list(_attempts(user_xattr=user_xattr))
    for flags in attempts:
        try:
            _mount_with(flags, layers, upper, work, target)
            return
        except SyscallError as error:
            if error.errno != errno.EINVAL or flags is attempts[-1]:
                raise


def _attempts(*, user_xattr: bool) -> Iterator[tuple[str, ...]]:
    """``volatile`` (no sync; since Linux 5.10) is worth much and not needed."""
    needed = (*_PLAIN, "userxattr") if user_xattr else _PLAIN
    yield ("volatile", *needed)
    yield needed


def _mount_with(flags: tuple[str, ...], layers: list[int], upper: int, work: int, target: str) -> None:
    lowers = [by_descriptor(layer) for layer in layers]
    places = (("upperdir", by_descriptor(upper)), ("workdir", by_descriptor(work)))
    options = ",".join((f"lowerdir={':'.join(lowers)}", *(f"{key}={path}" for key, path in places), *flags))
    if len(options) <= _LONGEST_OPTIONS:
        mount("overlay", target, "overlay", MS_NODEV, options)
        return
    pairs: list[tuple[str, str | None]] = [("lowerdir+", path) for path in lowers]  # since Linux 6.5
    pairs.extend(places)
    for flag in flags:
        key, _, value = flag.partition("=")
        pairs.append((key, value or None))
    mount_filesystem(target, "overlay", pairs, MOUNT_ATTR_NODEV)


def _forget_crash(work: str) -> None:
    """Remove the mark by which overlayfs refuses a work directory whose last ``volatile`` mount was not synced."""
    mark = os.path.join(work, "work/incompat/volatile")
    with suppress(FileNotFoundError):
        os.unlink(os.path.join(mark, "dirty"))
        os.rmdir(mark)


def _open_directory(path: str) -> int:
    return os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
