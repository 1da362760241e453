"""Signals that the C library keeps for itself."""

from __future__ import annotations

import ctypes
import signal

from builder.linux.libc import system_call

_SET_BYTES = 8  # of the kernel's sigset_t
_rt_sigaction = system_call("rt_sigaction", ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p, ctypes.c_size_t)


def reset_internal_signals() -> None:
    """Give the real-time signals below SIGRTMIN their default action; where that is refused they stay as they are.

    A program that was started by posix_spawn of some C libraries (GNU make does so) has them ignored, and would hand
    that on; the library's own functions refuse to touch them. See rt_sigaction(2), signal(7).
    """
    default_action = bytes(64)  # all fields zero, however long the structure is on this architecture
    for number in range(32, signal.SIGRTMIN):
        _rt_sigaction(number, default_action, None, _SET_BYTES)
