"""What a process tells the kernel about itself: prctl(2), and the title that others see."""

from __future__ import annotations

import ctypes
import os
import signal

from builder.linux.libc import check, function

_PR_SET_PDEATHSIG = 1
_PR_SET_DUMPABLE = 4
_PR_SET_CHILD_SUBREAPER = 36

_long = ctypes.c_ulong
_prctl = function("prctl", ctypes.c_int, _long, _long, _long, _long)


def prctl(option: int, argument: int, name: str, third: int = 0) -> int:
    """prctl(2); `name` is the option's, for errors."""
    return check(_prctl(option, argument, third, 0, 0), "prctl", name)


def die_with_parent() -> None:
    """Be killed when the thread that forked this process ends. A change of credentials undoes it: call it after."""
    prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, "PR_SET_PDEATHSIG")


def become_subreaper() -> None:
    """Become the parent of all orphaned descendants."""
    prctl(_PR_SET_CHILD_SUBREAPER, 1, "PR_SET_CHILD_SUBREAPER")


def forbid_inspection() -> None:
    """Keep processes without CAP_SYS_PTRACE from this one's memory, environment and descriptors, until it executes."""
    prctl(_PR_SET_DUMPABLE, 0, "PR_SET_DUMPABLE")


def erase_arguments(title: bytes) -> None:
    """Overwrite the command line and initial environment that /proc shows of this process; secrets may be in them."""
    with open("/proc/self/stat", "rb") as file:
        fields = file.read().rpartition(b") ")[2].split()
    # proc_pid_stat(5): fields 48 to 51 are arg_start, arg_end, env_start, env_end; `fields` begins with the third.
    arguments, arguments_end, environment, environment_end = (int(field) for field in fields[45:49])
    for start, end in ((arguments, arguments_end), (environment, environment_end)):
        if 0 < start < end:
            ctypes.memset(start, 0, end - start)
    if arguments:
        ctypes.memmove(arguments, title, min(len(title), max(arguments_end - arguments - 1, 0)))


def children_of(parent: int) -> list[int]:
    """The process ids whose parent is `parent`, as /proc shows them."""
    found = []
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            with open(f"/proc/{name}/stat", "rb") as file:
                fields = file.read().rpartition(b") ")[2].split()
        except OSError:
            continue  # it has ended meanwhile
        if int(fields[1]) == parent:
            found.append(int(name))
    return found
