"""What is said about an error of a system call."""

from __future__ import annotations

import errno

import pytest

from builder.isolation import advice
from builder.isolation.advice import isolation_error
from builder.linux.libc import SyscallError

USER_NAMESPACE = "CLONE_NEWUSER"


@pytest.mark.parametrize(
    ("call", "number", "subject", "files", "hint"),
    [
        ("unshare", errno.ENOSPC, USER_NAMESPACE, {}, "sysctl user.max_user_namespaces="),
        ("unshare", errno.EINVAL, USER_NAMESPACE, {}, "CONFIG_USER_NS"),
        (
            "unshare",
            errno.EPERM,
            USER_NAMESPACE,
            {"/proc/sys/kernel/unprivileged_userns_clone": "0"},
            "sysctl kernel.unprivileged_userns_clone=1",
        ),
        (
            "unshare",
            errno.EPERM,
            USER_NAMESPACE,
            {"/proc/sys/kernel/apparmor_restrict_unprivileged_userns": "1"},
            "sysctl kernel.apparmor_restrict_unprivileged_userns=0",
        ),
        ("unshare", errno.EPERM, USER_NAMESPACE, {"/proc/self/status": "A:\t1\nSeccomp:\t2\n"}, "seccomp=unconfined"),
        ("unshare", errno.EPERM, USER_NAMESPACE, {}, "a chroot, or a security module"),
        ("unshare", errno.ENOSPC, "CLONE_NEWNS", {}, "user.max_*_namespaces"),
        ("mount", errno.ENOSPC, "overlay on /x", {}, "free some space"),
        (
            "mount",
            errno.EACCES,
            "none on /",
            {"/proc/self/attr/current": "docker-default (enforce)\n"},
            "docker-default",
        ),
        ("mount", errno.EPERM, "none on /", {"/proc/self/status": "A:\t1\nSeccomp:\t2\n"}, "seccomp=unconfined"),
        ("mount", errno.EINVAL, "overlay on /x", {}, "overlayfs refuses"),
        ("pivot_root", errno.EINVAL, ".", {}, "not a mount point"),
        ("write", errno.EPERM, "/proc/7/uid_map", {}, "SETFCAP"),
    ],
)
def test_hint_names_the_setting(
    monkeypatch: pytest.MonkeyPatch, call: str, number: int, subject: str, files: dict[str, str], hint: str
) -> None:
    monkeypatch.setattr(advice, "_read", lambda path: files.get(path, ""))
    error = isolation_error(SyscallError(call, number, subject), "cannot do it")
    assert error.message == f"cannot do it: {SyscallError(call, number, subject)}"
    assert error.hint is not None and hint in error.hint


def test_ordinary_errors_name_their_file() -> None:
    error = isolation_error(FileNotFoundError(errno.ENOENT, "No such file or directory", "/layer"), "cannot do it")
    assert (error.message, error.hint) == ("cannot do it: /layer: No such file or directory (ENOENT)", None)


def test_disk_quota() -> None:
    hint = isolation_error(OSError(errno.EDQUOT, "Disk quota exceeded", "/x"), "cannot do it").hint
    assert hint is not None and "quota" in hint
