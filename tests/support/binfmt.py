"""binfmt_misc of the machine, for tests of RUN on other processors: mounted, registered and put back as it was."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

DIRECTORY = Path("/proc/sys/fs/binfmt_misc")
QEMU = {"arm64": "aarch64", "arm": "arm", "s390x": "s390x", "ppc64le": "ppc64le", "riscv64": "riscv64"}
# As Debian's package registers them; e_type may be 2 or 3.
_MAGIC = {
    "arm64": rb"\x7f\x45\x4c\x46\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00",
}
_MASK = rb"\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff"


@contextlib.contextmanager
def binfmt_misc() -> Iterator[None]:
    """Have the filesystem mounted. Skips the test where a container does not allow that, but not on CI."""
    if (DIRECTORY / "status").exists():
        yield
        return
    mounted = subprocess.run(["mount", "-t", "binfmt_misc", "binfmt_misc", str(DIRECTORY)], capture_output=True)
    if mounted.returncode:
        if os.environ.get("CI"):
            raise RuntimeError(f"binfmt_misc cannot be mounted: {mounted.stderr.decode()}")
        pytest.skip(f"binfmt_misc cannot be mounted: {mounted.stderr.decode().strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", str(DIRECTORY)], check=True)


@contextlib.contextmanager
def registered(architecture: str, *, flags: str = "OPF", interpreter: str = "") -> Iterator[None]:
    """Register QEMU for an architecture, before all that may be registered for it already."""
    name = f"builder-test-{architecture}-{os.getpid()}"
    program = interpreter or f"/usr/bin/qemu-{QEMU[architecture]}-static"
    line = b":".join((b"", name.encode(), b"M", b"", _MAGIC[architecture], _MASK, program.encode(), flags.encode()))
    (DIRECTORY / "register").write_bytes(line)
    try:
        yield
    finally:
        (DIRECTORY / name).write_text("-1")


@contextlib.contextmanager
def nothing_registered() -> Iterator[None]:
    """Have every handler disabled."""
    (DIRECTORY / "status").write_text("0")
    try:
        yield
    finally:
        (DIRECTORY / "status").write_text("1")
