"""The namespaces of a command."""

from __future__ import annotations

import os
from contextlib import suppress

from builder.isolation.command import DEFAULT_HOSTNAME, Command
from builder.isolation.sandbox.settings import Settings
from builder.linux.libc import SyscallError
from builder.linux.mount import MS_PRIVATE, MS_REC, mount
from builder.linux.namespaces import (
    CLONE_NEWIPC,
    CLONE_NEWNET,
    CLONE_NEWNS,
    CLONE_NEWPID,
    CLONE_NEWUTS,
    raise_loopback,
    sethostname,
    unshare,
)


def enter_namespaces(settings: Settings) -> None:
    """Enter those that every command has; the pid namespace, if there is one, begins with the next fork."""
    enter_mount_namespace(CLONE_NEWIPC | CLONE_NEWUTS | (CLONE_NEWPID if settings.pid_namespace else 0))


def enter_network(command: Command) -> None:
    """Take on the command's host name and network."""
    with suppress(SyscallError):  # podman's seccomp filter allows everything but this; the name matters to no command
        sethostname(command.hostname or DEFAULT_HOSTNAME)
    if command.network == "none":
        unshare(CLONE_NEWNET)
        raise_loopback()


def enter_mount_namespace(others: int = 0) -> None:
    """Enter a mount namespace, and the `others` (CLONE_NEW*): what is mounted from now on is seen nowhere else."""
    unshare(CLONE_NEWNS | others)
    mount("none", "/", flags=MS_PRIVATE | MS_REC)


def proc_can_be_mounted() -> bool:
    """Whether a new pid namespace can have its own /proc.

    The kernel refuses one in a user namespace when a part of the existing /proc is covered, as in most containers.
    """
    pid = os.fork()
    if pid == 0:
        try:
            enter_mount_namespace(CLONE_NEWPID)
            os._exit(_mount_proc_in_child())
        except SyscallError:
            os._exit(1)
    return os.waitpid(pid, 0)[1] == 0


def _mount_proc_in_child() -> int:
    pid = os.fork()
    if pid == 0:
        try:
            mount("proc", "/proc", "proc")
        except SyscallError:
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
