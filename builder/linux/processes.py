"""What a process tells the kernel about itself: prctl(2), and the title that others see."""

from __future__ import annotations

import ctypes
import os
import re
import signal
from contextlib import suppress

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


def end_descendants() -> None:
    """Kill all descendants of this process, which is their subreaper: orphans become its children. Waits for them."""
    while True:
        for child in children_of(os.getpid()):
            with suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            return


def forbid_inspection() -> None:
    """Keep processes without CAP_SYS_PTRACE from this one's memory, environment and descriptors, until it executes."""
    prctl(_PR_SET_DUMPABLE, 0, "PR_SET_DUMPABLE")


def erase_arguments(title: bytes) -> None:
    """Overwrite the command line and initial environment that /proc shows of this process; secrets may be in them."""
    arguments, arguments_end, environment, environment_end = _argument_area()
    for start, end in ((arguments, arguments_end), (environment, environment_end)):
        if 0 < start < end:
            ctypes.memset(start, 0, end - start)
    if arguments:
        ctypes.memmove(arguments, title, min(len(title), max(arguments_end - arguments - 1, 0)))


def erase_variables(pattern: re.Pattern[bytes]) -> None:
    """Overwrite the values of the variables whose names match in the initial environment that /proc shows of this
    process. What Python has taken of it stays.
    """
    _, _, start, end = _argument_area()
    if not 0 < start < end:
        return
    position = start
    for variable in ctypes.string_at(start, end - start).split(b"\0"):
        name, equals, value = variable.partition(b"=")
        if equals and pattern.search(name):
            ctypes.memset(position + len(name) + 1, ord("*"), len(value))
        position += len(variable) + 1


def _argument_area() -> tuple[int, int, int, int]:
    """Addresses of the initial arguments and environment of this process: start and end of each."""
    with open("/proc/self/stat", "rb") as file:
        fields = file.read().rpartition(b") ")[2].split()
    # proc_pid_stat(5): fields 48 to 51 are arg_start, arg_end, env_start, env_end; `fields` begins with the third.
    arguments, arguments_end, environment, environment_end = (int(field) for field in fields[45:49])
    return arguments, arguments_end, environment, environment_end


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
