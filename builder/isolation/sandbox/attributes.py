"""Mount attributes (read-only, no devices ...), set on a mount and all mounts below it."""

from __future__ import annotations

import errno
import os

from builder.isolation.sandbox.targets import by_descriptor
from builder.linux.libc import SyscallError
from builder.linux.mount import (
    MOUNT_ATTR_NODEV,
    MOUNT_ATTR_NOEXEC,
    MOUNT_ATTR_NOSUID,
    MOUNT_ATTR_RDONLY,
    MS_BIND,
    MS_NOATIME,
    MS_NODEV,
    MS_NODIRATIME,
    MS_NOEXEC,
    MS_NOSUID,
    MS_RDONLY,
    MS_RELATIME,
    MS_REMOUNT,
    mount,
    mount_setattr,
)

_AS_FLAG = {
    MOUNT_ATTR_RDONLY: MS_RDONLY,
    MOUNT_ATTR_NOSUID: MS_NOSUID,
    MOUNT_ATTR_NODEV: MS_NODEV,
    MOUNT_ATTR_NOEXEC: MS_NOEXEC,
}
_BY_NAME = {
    "ro": MS_RDONLY,
    "nosuid": MS_NOSUID,
    "nodev": MS_NODEV,
    "noexec": MS_NOEXEC,
    "noatime": MS_NOATIME,
    "nodiratime": MS_NODIRATIME,
    "relatime": MS_RELATIME,
}


def set_attributes(mounted: int, attributes: int) -> None:
    """Add MOUNT_ATTR_* to the mount whose root the descriptor `mounted` is, and to all below it."""
    try:
        mount_setattr(mounted, attributes)
    except SyscallError as error:
        # Linux before 5.12, or an old seccomp filter that answers EPERM to calls that it does not know.
        if error.errno not in (errno.ENOSYS, errno.EPERM):
            raise
        remount_with(mounted, attributes)


def remount_with(mounted: int, attributes: int) -> None:
    """The same by mount(2), one mount after the other: flags that a mount has must be given again."""
    from builder.linux import mountinfo

    top = os.readlink(by_descriptor(mounted))
    added = sum(flag for attribute, flag in _AS_FLAG.items() if attributes & attribute)
    below = {point.target: point for point in mountinfo.read() if (point.target + "/").startswith(top + "/")}
    for point in below.values():
        present = sum(flag for name, flag in _BY_NAME.items() if name in point.options)
        mount("", point.target, flags=MS_REMOUNT | MS_BIND | present | added)
