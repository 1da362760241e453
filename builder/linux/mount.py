"""Mounts: mount(2), umount2(2), pivot_root(2), mount_setattr(2), and the calls of the new mount interface."""

from __future__ import annotations

import ctypes
import os

from builder.linux.libc import check, function, system_call

MS_RDONLY = 0x1
MS_NOSUID = 0x2
MS_NODEV = 0x4
MS_NOEXEC = 0x8
MS_REMOUNT = 0x20
MS_NOATIME = 0x400
MS_NODIRATIME = 0x800
MS_BIND = 0x1000
MS_REC = 0x4000
MS_UNBINDABLE = 0x20000
MS_PRIVATE = 0x40000
MS_RELATIME = 0x200000
MS_STRICTATIME = 0x1000000
MNT_DETACH = 2

MOUNT_ATTR_RDONLY = 0x1
MOUNT_ATTR_NOSUID = 0x2
MOUNT_ATTR_NODEV = 0x4
MOUNT_ATTR_NOEXEC = 0x8

_AT_FDCWD = -100
_AT_EMPTY_PATH = 0x1000
_AT_RECURSIVE = 0x8000
_FSOPEN_CLOEXEC = _FSMOUNT_CLOEXEC = 1
_FSCONFIG_SET_FLAG, _FSCONFIG_SET_STRING, _FSCONFIG_CMD_CREATE = 0, 1, 6
_MOVE_MOUNT_F_EMPTY_PATH = 4


class _MountAttr(ctypes.Structure):
    _fields_ = [
        ("attr_set", ctypes.c_uint64),
        ("attr_clr", ctypes.c_uint64),
        ("propagation", ctypes.c_uint64),
        ("userns_fd", ctypes.c_uint64),
    ]


_text, _int, _unsigned = ctypes.c_char_p, ctypes.c_int, ctypes.c_uint
_mount = function("mount", _text, _text, _text, ctypes.c_ulong, _text)
_umount2 = function("umount2", _text, _int)
_pivot_root = system_call("pivot_root", _text, _text)
_mount_setattr = system_call("mount_setattr", _int, _text, _unsigned, ctypes.POINTER(_MountAttr), ctypes.c_size_t)
_fsopen = system_call("fsopen", _text, _unsigned)
_fsconfig = system_call("fsconfig", _int, _unsigned, _text, _text, _int)
_fsmount = system_call("fsmount", _int, _unsigned, _unsigned)
_move_mount = system_call("move_mount", _int, _text, _int, _text, _unsigned)


def mount(source: str, target: str, filesystem: str = "", flags: int = 0, options: str = "") -> None:
    """mount(2); errors name the filesystem and the target."""
    arguments = (os.fsencode(source), os.fsencode(target), filesystem.encode() or None)
    result = _mount(*arguments, flags, os.fsencode(options) or None)
    check(result, "mount", f"{filesystem or source} on {target}")


def umount2(target: str, flags: int = 0) -> None:
    check(_umount2(os.fsencode(target), flags), "umount2", target)


def pivot_root(new_root: str, put_old: str) -> None:
    check(_pivot_root(os.fsencode(new_root), os.fsencode(put_old)), "pivot_root", new_root)


def mount_setattr(mount_fd: int, attributes: int, *, recursive: bool = True) -> None:
    """Set MOUNT_ATTR_* on the mount whose root `mount_fd` is, and on all below it. Since Linux 5.12, else ENOSYS."""
    attr = _MountAttr(attr_set=attributes)
    flags = _AT_EMPTY_PATH | (_AT_RECURSIVE if recursive else 0)
    check(_mount_setattr(mount_fd, b"", flags, ctypes.byref(attr), ctypes.sizeof(attr)), "mount_setattr")


def mount_filesystem(target: str, filesystem: str, options: list[tuple[str, str | None]], attributes: int = 0) -> None:
    """Mount by fsopen, fsconfig, fsmount and move_mount (since Linux 5.2): any number of options, 255 bytes each.

    An option is a (key, value), the value None for a flag.
    """
    context = check(_fsopen(filesystem.encode(), _FSOPEN_CLOEXEC), "fsopen", filesystem)
    try:
        for key, value in options:
            command = _FSCONFIG_SET_FLAG if value is None else _FSCONFIG_SET_STRING
            text = None if value is None else os.fsencode(value)
            check(_fsconfig(context, command, key.encode(), text, 0), "fsconfig", key)
        check(_fsconfig(context, _FSCONFIG_CMD_CREATE, None, None, 0), "fsconfig", filesystem)
        mounted = check(_fsmount(context, _FSMOUNT_CLOEXEC, attributes), "fsmount", filesystem)
    finally:
        os.close(context)
    try:
        result = _move_mount(mounted, b"", _AT_FDCWD, os.fsencode(target), _MOVE_MOUNT_F_EMPTY_PATH)
        check(result, "move_mount", f"{filesystem} on {target}")
    finally:
        os.close(mounted)
