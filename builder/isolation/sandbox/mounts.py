"""Mounts as data, and how they are made. Targets are paths inside the root filesystem."""

from __future__ import annotations

import errno
import os
import stat
from typing import NamedTuple

from builder.errors import IsolationError
from builder.isolation.sandbox.attributes import set_attributes
from builder.isolation.sandbox.targets import Root, by_descriptor
from builder.linux.libc import SyscallError
from builder.linux.mount import (
    MOUNT_ATTR_NODEV,
    MOUNT_ATTR_NOEXEC,
    MOUNT_ATTR_NOSUID,
    MOUNT_ATTR_RDONLY,
    MS_BIND,
    MS_NODEV,
    MS_NOEXEC,
    MS_NOSUID,
    MS_RDONLY,
    MS_REC,
    mount,
)


class NewFilesystem(NamedTuple):
    """A filesystem of its own.

    Attributes:
        options: tried in turn until the kernel does not call one invalid.
        keep: a missing target stays in the image.
        optional: go on without it if the kernel refuses.
    """

    target: str
    filesystem: str
    flags: int = 0
    options: tuple[str, ...] = ("",)
    keep: bool = False
    optional: bool = False


class BoundTree(NamedTuple):
    """A file, or a directory with all that is mounted below it, of the machine; `attributes` are MOUNT_ATTR_*."""

    target: str
    source: str
    attributes: int = 0
    keep: bool = False


class GeneratedFile(NamedTuple):
    """A read-only file with this content, held by the directory `scratch` (a descriptor of one in memory)."""

    target: str
    scratch: int
    content: bytes
    mode: int = 0o644
    owner: tuple[int, int] = (0, 0)


class SymbolicLink(NamedTuple):
    """A symlink in a new filesystem."""

    directory: str
    name: str
    to: str


class Masked(NamedTuple):
    """A file or directory that the command finds empty; nothing where it does not exist."""

    target: str


class ReadOnly(NamedTuple):
    """A file or directory that the command cannot write; nothing where it does not exist."""

    target: str


MountAction = NewFilesystem | BoundTree | GeneratedFile | SymbolicLink | Masked | ReadOnly


def perform(action: MountAction, root: Root) -> None:
    """Make one mount. Raises IsolationError for a target of the wrong type, OSError for what the kernel refuses."""
    match action:
        case NewFilesystem():
            _new_filesystem(action, root)
        case BoundTree():
            _bind(action, root)
        case GeneratedFile():
            _generate(action, root)
        case SymbolicLink():
            _link(action, root)
        case Masked() | ReadOnly():
            _cover(action, root)


def _new_filesystem(action: NewFilesystem, root: Root) -> None:
    target = open_target(root, action.target, directory=True, keep=action.keep)
    try:
        for options in action.options:
            try:
                return mount(action.filesystem, by_descriptor(target), action.filesystem, action.flags, options)
            except SyscallError as error:
                refused = SyscallError(error.call, error.errno or 0, f"{action.filesystem} on {action.target}")
                if error.errno != errno.EINVAL:
                    break
        if not action.optional:
            raise refused
    finally:
        os.close(target)


def _bind(action: BoundTree, root: Root) -> None:
    directory = stat.S_ISDIR(os.stat(action.source).st_mode)
    target = open_target(root, action.target, directory=directory, keep=action.keep)
    try:
        _bind_to(action.source, target, action.target)
    finally:
        os.close(target)
    _set_attributes(root, action.target, action.attributes)


def _generate(action: GeneratedFile, root: Root) -> None:
    target = open_target(root, action.target, directory=False)
    name = action.target.replace("/", "_")  # two files may have the same last part
    file = os.open(name, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600, dir_fd=action.scratch)
    try:
        os.write(file, action.content)
        os.fchown(file, *action.owner)
        os.fchmod(file, action.mode)
        _bind_to(by_descriptor(file), target, action.target)
    finally:
        os.close(target)
        os.close(file)
    attributes = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC
    _set_attributes(root, action.target, attributes)


def _link(action: SymbolicLink, root: Root) -> None:
    directory = root.open(action.directory)
    try:
        os.symlink(action.to, action.name, dir_fd=directory)
    finally:
        os.close(directory)


def _cover(action: Masked | ReadOnly, root: Root) -> None:
    try:
        target = root.open(action.target)
    except (FileNotFoundError, PermissionError):
        return
    path = by_descriptor(target)
    try:
        if isinstance(action, ReadOnly):
            _bind_to(path, target, action.target)
        elif stat.S_ISDIR(os.fstat(target).st_mode):
            mount("tmpfs", path, "tmpfs", MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC)
        else:
            _bind_to("/dev/null", target, action.target)
    finally:
        os.close(target)
    if isinstance(action, ReadOnly):
        _set_attributes(root, action.target, MOUNT_ATTR_RDONLY)


def _bind_to(source: str, target: int, name: str) -> None:
    try:
        mount(source, by_descriptor(target), flags=MS_BIND | MS_REC)
    except SyscallError as error:
        raise SyscallError(error.call, error.errno or 0, f"{source} on {name}") from None


def _set_attributes(root: Root, target: str, attributes: int) -> None:
    if not attributes:
        return
    mounted = root.open(target)
    try:
        set_attributes(mounted, attributes)
    finally:
        os.close(mounted)


def open_target(root: Root, target: str, *, directory: bool, keep: bool = False) -> int:
    """A descriptor of the place to mount on, made if it is missing; the caller closes it.

    Raises IsolationError if it is not of the type that is needed.
    """
    try:
        descriptor = root.open(target, "directory" if directory else "file", keep=keep)
    except NotADirectoryError:
        raise IsolationError(f"cannot mount on {target}: a part of the path is not a directory") from None
    if stat.S_ISDIR(os.fstat(descriptor).st_mode) != directory:
        os.close(descriptor)
        wanted, found = ("directory", "file") if directory else ("file", "directory")
        raise IsolationError(f"cannot mount a {wanted} on {target}: it is a {found} in the image")
    return descriptor
