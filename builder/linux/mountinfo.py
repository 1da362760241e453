"""The mounts of a process as the kernel lists them (proc_pid_mountinfo(5))."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass

_ESCAPE = re.compile(rb"\\([0-7]{3})")


@dataclass(frozen=True, slots=True, kw_only=True)
class MountPoint:
    """One line of /proc/PID/mountinfo.

    Attributes:
        id, parent: of the mount, and of the one that it is mounted on.
        root: the directory or file of the filesystem that is mounted here.
        target: where, as seen from the root directory of the process.
        options: of this mount, e.g. ``ro``, ``nosuid``.
        filesystem, source: type and device or other source.
        super_options: of the filesystem.
    """

    id: int
    parent: int
    root: str
    target: str
    options: frozenset[str]
    filesystem: str
    source: str
    super_options: frozenset[str]


def parse(content: bytes) -> list[MountPoint]:
    """All lines in the order they have, so that a later mount on the same target hides an earlier one."""
    return [_parse_line(line) for line in content.splitlines() if line]


def read(pid: int | None = None) -> list[MountPoint]:
    """The mounts of a process, by default this one's."""
    with open(f"/proc/{'self' if pid is None else pid}/mountinfo", "rb") as file:
        return parse(file.read())


def _parse_line(line: bytes) -> MountPoint:
    before, _, after = line.partition(b" - ")
    number, parent, _device, root, target, options = before.split(b" ")[:6]
    filesystem, source, super_options = [*after.split(b" ", 2), b"", b""][:3]
    return MountPoint(
        id=int(number),
        parent=int(parent),
        root=_unescape(root),
        target=_unescape(target),
        options=frozenset(options.decode().split(",")),
        filesystem=filesystem.decode(),
        source=_unescape(source),
        super_options=frozenset(_unescape(super_options).split(",")),
    )


def _unescape(field: bytes) -> str:
    return os.fsdecode(_ESCAPE.sub(lambda match: bytes([int(match[1], 8)]), field))
