"""What the kernel and the machine lend to a command: /proc, /dev, /sys, /etc/resolv.conf and /etc/hosts.

The parts that are alike for all commands are made ahead of time, on a stage: a filesystem of the supervisor's own.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

from builder.isolation.command import DEFAULT_HOSTNAME, Bind, Command, SecretFile, Tmpfs
from builder.isolation.sandbox.mounts import (
    BoundTree,
    GeneratedFile,
    Masked,
    MountAction,
    NewFilesystem,
    ReadOnly,
    SymbolicLink,
    perform,
)
from builder.isolation.sandbox.targets import Root
from builder.linux.mount import (
    MOUNT_ATTR_NODEV,
    MOUNT_ATTR_NOEXEC,
    MOUNT_ATTR_NOSUID,
    MOUNT_ATTR_RDONLY,
    MS_NODEV,
    MS_NOEXEC,
    MS_NOSUID,
    MS_STRICTATIME,
    MS_UNBINDABLE,
    mount,
)

_FILES = "/files"  # of the stage: generated ones
_HARMLESS = MS_NOSUID | MS_NODEV | MS_NOEXEC
_STAGES = ("/sys/kernel", "/proc/sys")  # directories that exist everywhere, and in which nobody keeps files
_DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
_LINKS = {
    "fd": "/proc/self/fd",
    "stdin": "/proc/self/fd/0",
    "stdout": "/proc/self/fd/1",
    "stderr": "/proc/self/fd/2",
    "ptmx": "pts/ptmx",
}
_PSEUDO_TERMINALS = "newinstance,ptmxmode=0666,mode=0620"

# What runc hides from containers and protects in them, as Docker and BuildKit configure it.
_MASKED_SYS = ("/sys/firmware", "/sys/devices/virtual/powercap")
_MASKED_PROC = (
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
)
_READ_ONLY_PROC = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")


def make_stage() -> Root:
    """Mount a stage with /dev and /sys as commands get them, in a mount namespace of this process's own."""
    place = next(filter(os.path.isdir, _STAGES), _STAGES[0])
    mount("tmpfs", place, "tmpfs", _HARMLESS, "mode=755")
    mount("none", place, flags=MS_UNBINDABLE)  # else it would be in what is bound of /sys
    stage = Root(place)
    for action in (NewFilesystem(target=_FILES, filesystem="tmpfs", flags=_HARMLESS), *_dev(), *_sys()):
        perform(action, stage)
    return stage


def stage_proc(stage: Root, *, own: bool) -> None:
    """Mount /proc on the stage: that of this process's pid namespace, or the machine's where it has none of its own."""
    if own:
        perform(NewFilesystem(target="/proc", filesystem="proc", flags=_HARMLESS), stage)
    else:
        perform(BoundTree(target="/proc", source="/proc"), stage)
    for target in _MASKED_PROC:
        perform(Masked(target=target), stage)
    for target in _READ_ONLY_PROC:
        perform(ReadOnly(target=target), stage)


def surroundings(command: Command, stage: Root) -> Iterator[MountAction]:
    """All mounts of a command on top of its root filesystem, in their order."""
    for name in ("/dev", "/sys", "/proc"):
        if os.path.isdir(stage.path + name):
            yield BoundTree(target=name, source=stage.path + name, keep=True)
    files = stage.open(_FILES)
    yield GeneratedFile(target="/etc/resolv.conf", scratch=files, content=_read("/etc/resolv.conf"))
    machine = _read("/etc/hosts") if command.network == "host" else b""
    content = hosts(machine, command.hostname or DEFAULT_HOSTNAME)
    yield GeneratedFile(target="/etc/hosts", scratch=files, content=content)
    yield from (_requested(wish, files) for wish in command.mounts)


def hosts(machine: bytes, hostname: str) -> bytes:
    """The /etc/hosts of a command: the machine's, completed by localhost and the command's host name."""
    names = {name for line in machine.splitlines() for name in line.partition(b"#")[0].split()[1:]}
    content = machine if not machine or machine.endswith(b"\n") else machine + b"\n"
    if b"localhost" not in names:
        content += b"127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n"
    if hostname.encode() not in names:
        content += b"127.0.0.1\t" + hostname.encode() + b"\n"
    return content


def _dev() -> Iterator[MountAction]:
    # Nodes are the machine's, bound one by one: on the filesystem itself none work, whoever makes them.
    flags = MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_STRICTATIME
    yield NewFilesystem(target="/dev", filesystem="tmpfs", flags=flags, options=("mode=755,size=65536k",))
    for name in _DEVICES:
        if os.path.exists(f"/dev/{name}"):
            yield BoundTree(target=f"/dev/{name}", source=f"/dev/{name}")
    # Group 5 is "tty" everywhere; it may have no mapping in a user namespace.
    options = (f"{_PSEUDO_TERMINALS},gid=5", _PSEUDO_TERMINALS)
    yield NewFilesystem(target="/dev/pts", filesystem="devpts", flags=MS_NOSUID | MS_NOEXEC, options=options)
    yield NewFilesystem(target="/dev/shm", filesystem="tmpfs", flags=_HARMLESS, options=("mode=1777,size=65536k",))
    yield NewFilesystem(target="/dev/mqueue", filesystem="mqueue", flags=_HARMLESS, optional=True)
    yield from (SymbolicLink(directory="/dev", name=name, to=to) for name, to in _LINKS.items())


def _sys() -> Iterator[MountAction]:
    if not os.path.isdir("/sys/kernel"):
        return
    attributes = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC
    yield BoundTree(target="/sys", source="/sys", attributes=attributes)
    yield from (Masked(target=target) for target in _MASKED_SYS)


def _requested(wish: Bind | Tmpfs | SecretFile, files: int) -> MountAction:
    if isinstance(wish, SecretFile):
        return GeneratedFile(
            target=wish.target,
            scratch=files,
            content=wish.content,
            mode=wish.mode,
            owner=(wish.uid, wish.gid),
        )
    if isinstance(wish, Bind):
        attributes = MOUNT_ATTR_NODEV | (MOUNT_ATTR_RDONLY if wish.read_only else 0)
        return BoundTree(target=wish.target, source=wish.source, attributes=attributes)
    size = "" if wish.size is None else f",size={wish.size}"
    options = (f"mode={wish.mode:o}{size}",)
    return NewFilesystem(target=wish.target, filesystem="tmpfs", flags=MS_NOSUID | MS_NODEV, options=options)


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return b""
