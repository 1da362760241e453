"""Capabilities (capabilities(7)): their numbers, the set that containers get, and how a process drops the rest."""

from __future__ import annotations

import ctypes
from collections.abc import Collection
from enum import IntEnum

from builder.linux.libc import check, function
from builder.linux.processes import prctl


class Capability(IntEnum):
    """Number of a capability (include/uapi/linux/capability.h), as far as the builder names them."""

    CHOWN = 0
    DAC_OVERRIDE = 1
    FOWNER = 3
    FSETID = 4
    KILL = 5
    SETGID = 6
    SETUID = 7
    SETPCAP = 8
    NET_BIND_SERVICE = 10
    NET_RAW = 13
    SYS_CHROOT = 18
    SYS_ADMIN = 21
    MKNOD = 27
    AUDIT_WRITE = 29
    SETFCAP = 31


# What Docker and BuildKit give to a container by default; a RUN gets no more.
CONTAINER_DEFAULT = frozenset(Capability) - {Capability.SYS_ADMIN}

_PR_CAPBSET_READ, _PR_CAPBSET_DROP = 23, 24
_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL = 47, 4
_LINUX_CAPABILITY_VERSION_3 = 0x20080522


class _Header(ctypes.Structure):
    _fields_ = [("version", ctypes.c_uint32), ("pid", ctypes.c_int)]


class _Data(ctypes.Structure):
    _fields_ = [
        ("effective", ctypes.c_uint32),
        ("permitted", ctypes.c_uint32),
        ("inheritable", ctypes.c_uint32),
    ]


_capget = function("capget", ctypes.POINTER(_Header), ctypes.POINTER(_Data))
_capset = function("capset", ctypes.POINTER(_Header), ctypes.POINTER(_Data))


def effective() -> frozenset[int]:
    """The numbers of the capabilities in effect for this process, in its user namespace."""
    data = (_Data * 2)()
    check(_capget(ctypes.byref(_header()), data), "capget")
    mask = data[0].effective | data[1].effective << 32
    return frozenset(number for number in range(64) if mask >> number & 1)


def limit(kept: Collection[int]) -> None:
    """Give up, for good, every capability but `kept`: drop them from the bounding set, clear the ambient set.

    Dropping needs CAP_SETPCAP, but nothing is to be dropped in most containers.
    """
    with open("/proc/sys/kernel/cap_last_cap", "rb") as file:
        last = int(file.read())
    for number in range(last + 1):
        if number not in kept and prctl(_PR_CAPBSET_READ, number, "PR_CAPBSET_READ"):
            prctl(_PR_CAPBSET_DROP, number, "PR_CAPBSET_DROP")
    prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL, "PR_CAP_AMBIENT_CLEAR_ALL")


def set_effective(wanted: Collection[int]) -> None:
    """Hold exactly `wanted` as permitted and effective, nothing inheritable."""
    mask = sum(1 << number for number in wanted)
    low, high = mask & 0xFFFFFFFF, mask >> 32
    data = (_Data * 2)(_Data(low, low, 0), _Data(high, high, 0))
    check(_capset(ctypes.byref(_header()), data), "capset")


def _header() -> _Header:
    return _Header(version=_LINUX_CAPABILITY_VERSION_3, pid=0)
