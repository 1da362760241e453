"""Errors of system calls, and what can be called without privileges."""

from __future__ import annotations

import errno
import os
import subprocess
import sys

import pytest

from builder.linux import capabilities, libc, mount, processes
from builder.linux.libc import SyscallError


def test_error_names_the_call_its_subject_and_the_number() -> None:
    with pytest.raises(SyscallError, match=r"^mount ext4 on /nonexistent/x: .* \(E[A-Z]+\)$") as caught:
        mount.mount("", "/nonexistent/x", "ext4")
    assert caught.value.call == "mount"
    assert caught.value.errno in (errno.EPERM, errno.ENOENT)


@pytest.mark.parametrize(
    ("number", "text"),
    [(errno.EPERM, "x y: Operation not permitted (EPERM)"), (9999, "x y: Unknown error 9999 (9999)")],
)
def test_text(number: int, text: str) -> None:
    assert str(SyscallError("x", number, "y")) == text


def test_call_whose_number_is_not_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(libc._NUMBERS, "unknown", {})
    with pytest.raises(SyscallError, match="ENOSYS"):
        libc.check(libc.system_call("unknown")(), "unknown")


def test_new_mount_interface_reports_a_filesystem_that_does_not_exist() -> None:
    with pytest.raises(SyscallError, match="fsopen nonexistent") as caught:
        mount.mount_filesystem("/nonexistent", "nonexistent", [])
    assert caught.value.errno in (errno.ENODEV, errno.EPERM)


def test_container_default_is_dockers() -> None:
    assert sum(1 << number for number in capabilities.CONTAINER_DEFAULT) == 0xA80425FB


def test_effective_capabilities_are_those_of_proc() -> None:
    with open("/proc/self/status") as file:
        mask = next(int(line.split()[1], 16) for line in file if line.startswith("CapEff"))
    assert sum(1 << number for number in capabilities.effective()) == mask


def test_capabilities_can_be_given_up() -> None:
    source = "from builder.linux import capabilities as c; c.set_effective(()); assert c.effective() == frozenset()"
    subprocess.run([sys.executable, "-c", source], check=True)


def test_arguments_and_environment_are_erased() -> None:
    source = """
from builder.linux.processes import erase_arguments
erase_arguments(b"title")
for name in ("cmdline", "environ"):
    with open(f"/proc/self/{name}", "rb") as file:
        print(file.read().replace(b"\\0", b"").decode())
"""
    argv = [sys.executable, "-c", source, "secret-argument"]
    done = subprocess.run(argv, env={"TOKEN": "secret-value"}, capture_output=True, text=True, check=True)
    assert done.stdout == "title\n\n"


def test_children_are_found() -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        assert processes.children_of(os.getpid()).count(child.pid) == 1
    finally:
        child.communicate()
    assert child.pid not in processes.children_of(os.getpid())
