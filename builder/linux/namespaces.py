"""Namespaces: unshare(2), and what belongs to a new one: host name, loopback device, session keyring."""

from __future__ import annotations

import ctypes
import os
import struct

from builder.linux.libc import check, function, system_call

CLONE_NEWNS = 0x00020000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000

_NAMES = {
    CLONE_NEWUSER: "CLONE_NEWUSER",
    CLONE_NEWNS: "CLONE_NEWNS",
    CLONE_NEWPID: "CLONE_NEWPID",
    CLONE_NEWIPC: "CLONE_NEWIPC",
    CLONE_NEWUTS: "CLONE_NEWUTS",
    CLONE_NEWNET: "CLONE_NEWNET",
}
_INITIAL_USER_NAMESPACE = 0xEFFFFFFD  # PROC_USER_INIT_INO of include/linux/proc_ns.h
_SIOCGIFFLAGS, _SIOCSIFFLAGS, _IFF_UP = 0x8913, 0x8914, 1
_KEYCTL_JOIN_SESSION_KEYRING = 1

_unshare = function("unshare", ctypes.c_int)
_sethostname = function("sethostname", ctypes.c_char_p, ctypes.c_size_t)
_keyctl = system_call("keyctl", ctypes.c_int, ctypes.c_char_p)


def unshare(flags: int) -> None:
    """unshare(2); errors name the flags."""
    names = "|".join(name for flag, name in _NAMES.items() if flags & flag)
    check(_unshare(flags), "unshare", names)


def sethostname(name: str) -> None:
    encoded = os.fsencode(name)
    check(_sethostname(encoded, len(encoded)), "sethostname", name)


def in_initial_user_namespace() -> bool:
    """Whether this is the machine's own user namespace, where CAP_SYS_ADMIN means the real one."""
    try:
        return os.stat("/proc/self/ns/user").st_ino == _INITIAL_USER_NAMESPACE
    except OSError:
        return True  # a kernel without user namespaces


def raise_loopback() -> None:
    """Bring up ``lo`` in a network namespace of one's own (netdevice(7))."""
    import fcntl
    import socket

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as device:
        request = fcntl.ioctl(device, _SIOCGIFFLAGS, struct.pack("16sh22x", b"lo", 0))
        (flags,) = struct.unpack_from("h", request, 16)
        fcntl.ioctl(device, _SIOCSIFFLAGS, struct.pack("16sh22x", b"lo", flags | _IFF_UP))


def join_new_session_keyring() -> None:
    """Leave the session keyring of the parent (keyctl(2)), so that its keys cannot be read."""
    check(_keyctl(_KEYCTL_JOIN_SESSION_KEYRING, None), "keyctl", "KEYCTL_JOIN_SESSION_KEYRING")
