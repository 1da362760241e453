"""Turns an error of a system call into a message and what to do about it."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from builder.errors import IsolationError
from builder.linux.libc import SyscallError

IN_PLACE = "inside a container of your own, --isolation=in-place needs no namespaces"


def isolation_error(error: OSError, doing: str) -> IsolationError:
    """`doing` is what was going on, e.g. ``cannot prepare the sandbox``; the error's text follows it."""
    return IsolationError(f"{doing}: {describe(error)}", hint=_hint(error))


def describe(error: OSError) -> str:
    """Call, subject, text and name of the error number."""
    if isinstance(error, SyscallError):
        return str(error)
    name = errno.errorcode.get(error.errno or 0, "")
    subject = f"{os.fsdecode(error.filename)}: " if isinstance(error.filename, str | bytes) else ""
    return f"{subject}{error.strerror or error}" + (f" ({name})" if name else "")


def _hint(error: OSError) -> str | None:
    if error.errno == errno.ENOSPC and not _is_unshare(error):
        return "the filesystem is full, or out of inodes; free some space or choose another state directory"
    if error.errno == errno.EDQUOT:
        return "the disk quota of this user is used up"
    if error.errno in (errno.EMFILE, errno.ENFILE):
        return "too many open files; raise the limit (ulimit -n)"
    if isinstance(error, SyscallError):
        return _syscall_hint(error)
    return None


def _syscall_hint(error: SyscallError) -> str | None:
    if _is_unshare(error) and "CLONE_NEWUSER" in error.subject:
        return user_namespace_hint(error)
    if error.call == "write" and error.subject.endswith("_map"):
        return "the container that the builder runs in needs the capabilities SETUID, SETGID and SETFCAP; " + IN_PLACE
    if error.errno in (errno.EPERM, errno.EACCES):
        return _permission_hint(error)
    if error.call == "mount" and error.errno == errno.EINVAL and error.subject.startswith("overlay"):
        return "overlayfs refuses the store's filesystem; --isolation with another state directory may help"
    if error.call == "pivot_root" and error.errno == errno.EINVAL:
        return "the builder's root directory is not a mount point (a chroot or an initramfs); bind-mount it on itself"
    if _is_unshare(error) and error.errno == errno.ENOSPC:
        return "a limit on namespaces is reached; see the sysctls user.max_*_namespaces"
    return None


def _permission_hint(error: SyscallError) -> str:
    if _apparmor_profile():
        return (
            f"the AppArmor profile {_apparmor_profile()!r} may forbid it; in Docker: "
            f"--security-opt apparmor=unconfined; {IN_PLACE}"
        )
    if _seccomp_filter():
        return f"a seccomp filter may forbid it; in Docker: --security-opt seccomp=unconfined; {IN_PLACE}"
    if _sysctl("kernel/apparmor_restrict_unprivileged_userns") == "1":
        return "AppArmor restricts user namespaces: sysctl kernel.apparmor_restrict_unprivileged_userns=0"
    return f"{error.call} is not permitted to this user here; {IN_PLACE}"


def user_namespace_hint(error: OSError) -> str:
    """Which setting keeps user namespaces from being made."""
    if error.errno in (errno.ENOSPC, errno.EUSERS):
        return "raise the number of user namespaces: sysctl user.max_user_namespaces=15000; " + IN_PLACE
    if error.errno in (errno.EINVAL, errno.ENOSYS):
        return "this kernel has no user namespaces (CONFIG_USER_NS); " + IN_PLACE
    if _sysctl("kernel/unprivileged_userns_clone") == "0":
        return "allow them: sysctl kernel.unprivileged_userns_clone=1; " + IN_PLACE
    if _sysctl("kernel/apparmor_restrict_unprivileged_userns") == "1":
        return "allow them: sysctl kernel.apparmor_restrict_unprivileged_userns=0; " + IN_PLACE
    if _seccomp_filter():
        return (
            "a seccomp filter forbids user namespaces; in Docker: --security-opt seccomp=unconfined"
            f" (and apparmor=unconfined); {IN_PLACE}"
        )
    return "user namespaces are not permitted here (a chroot, or a security module forbids them); " + IN_PLACE


def _is_unshare(error: OSError) -> bool:
    return isinstance(error, SyscallError) and error.call == "unshare"


def _sysctl(name: str) -> str:
    return _read(f"/proc/sys/{name}")


def _seccomp_filter() -> bool:
    return "\nSeccomp:\t2" in _read("/proc/self/status")


def _apparmor_profile() -> str:
    """The name of the profile that confines this process, "" if none does."""
    profile = _read("/proc/self/attr/apparmor/current") or _read("/proc/self/attr/current")
    name, _, mode = profile.rstrip("\0\n").partition(" ")
    return name if mode == "(enforce)" else ""


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""
