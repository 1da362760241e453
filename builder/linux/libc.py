"""The C library: how its functions are declared, and what an error of a call looks like."""

from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Callable
from typing import Any

_libc = ctypes.CDLL(None, use_errno=True)

# Calls without a wrapper in the C library. From 424 on the number is the same on every architecture.
_NUMBERS: dict[str, dict[str, int]] = {
    "pivot_root": {
        "x86_64": 155, "aarch64": 41, "riscv64": 41, "armv7l": 218, "armv6l": 218, "armv8l": 218,
        "i386": 217, "i686": 217, "ppc64le": 203, "s390x": 217, "loongarch64": 41,
    },
    "rt_sigaction": {
        "x86_64": 13, "aarch64": 134, "riscv64": 134, "armv7l": 174, "armv6l": 174, "armv8l": 174,
        "i386": 174, "i686": 174, "ppc64le": 173, "s390x": 174, "loongarch64": 134,
    },
    "keyctl": {
        "x86_64": 250, "aarch64": 219, "riscv64": 219, "armv7l": 311, "armv6l": 311, "armv8l": 311,
        "i386": 288, "i686": 288, "ppc64le": 271, "s390x": 280, "loongarch64": 219,
    },
}  # fmt: skip
_NUMBERS_EVERYWHERE = {"move_mount": 429, "fsopen": 430, "fsconfig": 431, "fsmount": 432, "mount_setattr": 442}


class SyscallError(OSError):
    """An OSError that knows which system call failed.

    Attributes:
        call: name of the system call, e.g. ``mount``.
        subject: what it was applied to: a path, a flag, or "".
    """

    def __init__(self, call: str, number: int, subject: str = "") -> None:
        super().__init__(number, os.strerror(number))
        self.call, self.subject = call, subject

    def __str__(self) -> str:
        name = errno.errorcode.get(self.errno or 0, str(self.errno))
        return f"{self.call} {self.subject}".rstrip() + f": {self.strerror} ({name})"


def function(name: str, *argument_types: Any) -> Callable[..., int]:
    """The function `name` of the C library, returning int."""
    entry = getattr(_libc, name)
    entry.argtypes, entry.restype = argument_types, ctypes.c_int
    return entry  # type: ignore[no-any-return]


def system_call(name: str, *argument_types: Any) -> Callable[..., int]:
    """A call that the C library has no wrapper for; ENOSYS on an architecture where its number is not known."""
    number = _NUMBERS_EVERYWHERE.get(name) or _NUMBERS[name].get(os.uname().machine, -1)
    entry = ctypes.CDLL(None, use_errno=True).syscall
    entry.argtypes, entry.restype = (ctypes.c_long, *argument_types), ctypes.c_int

    def call(*arguments: Any) -> int:
        return int(entry(number, *arguments))

    return call


def check(result: int, call: str, subject: str = "") -> int:
    """`result`, or SyscallError for errno if it is negative."""
    if result < 0:
        raise SyscallError(call, ctypes.get_errno(), subject)
    return result
