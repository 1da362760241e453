"""What binfmt_misc has registered, and the programs that it is tried with."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from builder.image.platform import Platform
from builder.linux.binfmt import QEMU_NAMES, handler_for, handlers, header, is_known, program

ARM64 = """\
enabled
interpreter /usr/libexec/qemu-binfmt/aarch64-binfmt-P
flags: POF
offset 0
magic 7f454c460201010000000000000000000200b700
mask ffffffffffffff00fffffffffffffffffeffffff
"""
ARCHITECTURES = ["amd64", "386", "arm64", "arm", "riscv64", "ppc64le", "ppc64", "s390x", "loong64", "mips", "mipsle",
                 "mips64", "mips64le"]  # fmt: skip


def registry(directory: Path, **entries: str) -> Path:
    for name, text in {"status": "enabled\n", "register": "", **entries}.items():
        (directory / name).write_text(text)
    return directory


def test_what_is_registered(tmp_path: Path) -> None:
    java = "enabled\ninterpreter /usr/bin/java\nflags: \nextension .jar\n"
    found = handlers(registry(tmp_path, arm64=ARM64, java=java, odd="enabled\ninterpreter /x\nflags:\nmagic zz\n"))
    assert found is not None
    (handler,) = found
    assert (handler.name, handler.interpreter) == ("arm64", "/usr/libexec/qemu-binfmt/aarch64-binfmt-P")
    assert (handler.enabled, handler.fixed) == (True, True)
    assert handler_for("arm64", found) == handler
    assert [each for each in ARCHITECTURES if handler_for(each, found)] == ["arm64"]
    assert handler.matches(header("arm64", 3))
    assert not handler.matches(b"\x7fELF")
    assert not handler.matches(header("arm64", 1))


@pytest.mark.parametrize("where", ["entry", "all"])
def test_what_is_disabled_does_not_count(where: str, tmp_path: Path) -> None:
    directory = registry(tmp_path, arm64=ARM64.replace("enabled", "disabled" if where == "entry" else "enabled"))
    if where == "all":
        (directory / "status").write_text("disabled\n")
    found = handlers(directory)
    assert found
    assert handler_for("arm64", found) is None


def test_the_last_registered_wins(tmp_path: Path) -> None:
    other = ARM64.replace("POF", "").replace("/usr/libexec/qemu-binfmt/aarch64-binfmt-P", "/opt/qemu")
    found = handlers(registry(tmp_path, a=ARM64, b=other))
    assert found
    chosen = handler_for("arm64", found)
    assert chosen is not None
    assert (chosen.interpreter, chosen.fixed) == ("/opt/qemu", False)


def test_where_it_is_not_mounted(tmp_path: Path) -> None:
    assert handlers(tmp_path) is None
    assert handlers(tmp_path / "nothing") is None


def test_unknown_architectures() -> None:
    assert not is_known("wasm")
    assert handler_for("wasm", []) is None


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_program_that_does_nothing(architecture: str, tmp_path: Path) -> None:
    """It is run by the machine itself, or by QEMU."""
    file = tmp_path / "program"
    file.write_bytes(program(architecture))
    file.chmod(0o755)
    command = [str(file)]
    if architecture != Platform.host().architecture:
        qemu = shutil.which(f"qemu-{QEMU_NAMES.get(architecture, architecture)}-static")
        if qemu is None:
            if os.environ.get("CI"):
                pytest.fail("qemu-user-static is not installed")
            pytest.skip("qemu-user-static is not installed")
        command.insert(0, qemu)
    assert subprocess.run(command, timeout=60).returncode == 0
