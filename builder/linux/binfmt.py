"""Programs for other processors: what binfmt_misc has registered, and a tiny program to try it with.

See Documentation/admin-guide/binfmt-misc.rst of the kernel. The list can be read only where the filesystem is mounted,
which in a container it is not; the kernel goes by it everywhere. So a program that runs is the better answer.
"""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from pathlib import Path

DIRECTORY = Path("/proc/sys/fs/binfmt_misc")
_ELF_HEADER = 64
_EXECUTABLE, _SHARED_OBJECT = 2, 3  # e_type; position-independent programs are of the second
_LOAD_AT = 0x400000
_PAGE = 0x10000  # at least the page size of every architecture


@dataclass(frozen=True, slots=True, kw_only=True)
class Handler:
    """One entry of binfmt_misc that goes by magic bytes.

    Attributes:
        interpreter: path of the program, as whoever registered it saw it.
        fixed: flag F: the kernel holds the interpreter open, so that it need not be visible where it is used.
        magic, mask: compared with the beginning of a file, from `offset` on.
    """

    name: str
    interpreter: str
    enabled: bool
    fixed: bool
    offset: int
    magic: bytes
    mask: bytes

    def matches(self, head: bytes) -> bool:
        """Whether a file that begins so is run by it."""
        part = head[self.offset : self.offset + len(self.magic)]
        mask = self.mask or b"\xff" * len(self.magic)
        if len(part) != len(self.magic):
            return False
        return all((one ^ other) & bits == 0 for one, other, bits in zip(part, self.magic, mask, strict=False))


@dataclass(frozen=True, slots=True)
class _Machine:
    """Of an architecture: ELF class, byte order, machine number and flags, and the code of ``exit(0)``."""

    bits: int
    order: str
    machine: int
    code: bytes
    flags: int = 0


def _words(order: str, *words: int) -> bytes:
    return struct.pack(f"{order}{len(words)}I", *words)


_MACHINES = {
    "amd64": _Machine(64, "<", 62, bytes.fromhex("31ff b83c000000 0f05")),
    "386": _Machine(32, "<", 3, bytes.fromhex("31db b801000000 cd80")),
    "arm64": _Machine(64, "<", 183, _words("<", 0xD2800000, 0xD2800BA8, 0xD4000001)),
    "arm": _Machine(32, "<", 40, _words("<", 0xE3A00000, 0xE3A07001, 0xEF000000), 0x05000200),
    "riscv64": _Machine(64, "<", 243, _words("<", 0x00000513, 0x05D00893, 0x00000073), 5),
    "ppc64le": _Machine(64, "<", 21, _words("<", 0x38000001, 0x38600000, 0x44000002), 2),
    "ppc64": _Machine(64, ">", 21, _words(">", 0x38000001, 0x38600000, 0x44000002), 2),
    "s390x": _Machine(64, ">", 22, bytes.fromhex("a7290000 0a01")),
    "loong64": _Machine(64, "<", 258, _words("<", 0x0281740B, 0x02800004, 0x002B0000), 3),
    "mips": _Machine(32, ">", 8, _words(">", 0x24020FA1, 0x24040000, 0x0000000C), 0x50001000),
    "mipsle": _Machine(32, "<", 8, _words("<", 0x24020FA1, 0x24040000, 0x0000000C), 0x50001000),
    "mips64": _Machine(64, ">", 8, _words(">", 0x240213C2, 0x24040000, 0x0000000C), 0x60000000),
    "mips64le": _Machine(64, "<", 8, _words("<", 0x240213C2, 0x24040000, 0x0000000C), 0x60000000),
}

QEMU_NAMES = {
    "amd64": "x86_64", "386": "i386", "arm64": "aarch64", "loong64": "loongarch64", "mipsle": "mipsel",
    "mips64le": "mips64el",
}  # fmt: skip
"""What QEMU calls an architecture, where Go calls it something else."""


def handlers(directory: Path = DIRECTORY) -> list[Handler] | None:
    """What is registered; None if that cannot be seen here, because the filesystem is not mounted."""
    try:
        names = sorted(os.listdir(directory))
        if "status" not in names:
            return None
        enabled = (directory / "status").read_text().strip() == "enabled"
    except OSError:
        return None
    found = []
    for name in names:
        if name in ("status", "register"):
            continue
        try:
            handler = _parsed(name, (directory / name).read_text())
        except (OSError, ValueError):
            continue  # removed meanwhile, or of a form that is not known
        if handler is not None:
            found.append(handler if enabled else _disabled(handler))
    return found


def handler_for(architecture: str, registered: list[Handler]) -> Handler | None:
    """The enabled handler that runs programs of an architecture (Go's name); the last registered wins, as in Linux."""
    heads = [header(architecture, kind) for kind in (_EXECUTABLE, _SHARED_OBJECT)] if is_known(architecture) else []
    for handler in reversed(registered):
        if handler.enabled and any(handler.matches(head) for head in heads):
            return handler
    return None


def is_known(architecture: str) -> bool:
    """Whether there is a program for this architecture here."""
    return architecture in _MACHINES


def header(architecture: str, kind: int = _EXECUTABLE) -> bytes:
    """The ELF header of a program for `architecture` (elf(5)). Raises KeyError for one that is not known."""
    of = _MACHINES[architecture]
    wide = of.bits == 64
    identity = b"\x7fELF" + bytes([2 if wide else 1, 1 if of.order == "<" else 2, 1]) + bytes(9)
    size, entry = (64, 56) if wide else (52, 32)
    start = _LOAD_AT + size + entry
    form = f"{of.order}HHI{'QQQ' if wide else 'III'}IHHHHHH"
    return identity + struct.pack(form, kind, of.machine, 1, start, size, 0, of.flags, size, entry, 1, 0, 0, 0)


def program(architecture: str) -> bytes:
    """A static program for Linux that exits with status 0 and does nothing else. Raises KeyError."""
    of = _MACHINES[architecture]
    head = header(architecture)
    wide = of.bits == 64
    place = len(head) + (56 if wide else 32)
    code = of.code
    size = place + len(code)
    if wide:
        segment = struct.pack(f"{of.order}IIQQQQQQ", 1, 5, 0, _LOAD_AT, _LOAD_AT, size, size, _PAGE)
    else:
        segment = struct.pack(f"{of.order}IIIIIIII", 1, 0, _LOAD_AT, _LOAD_AT, size, size, 5, _PAGE)
    return head + segment + code


def _parsed(name: str, text: str) -> Handler | None:
    """An entry as the kernel shows it; None if it goes by the extension of the file's name."""
    lines = text.splitlines()
    fields = dict(line.split(" ", 1) for line in lines[1:] if " " in line)
    if "magic" not in fields:
        return None
    flags = next((line.partition(":")[2] for line in lines if line.startswith("flags:")), "")
    return Handler(
        name=name,
        interpreter=fields["interpreter"],
        enabled=lines[0].strip() == "enabled",
        fixed="F" in flags,
        offset=int(fields.get("offset", "0")),
        magic=bytes.fromhex(fields["magic"]),
        mask=bytes.fromhex(fields.get("mask", "")),
    )


def _disabled(handler: Handler) -> Handler:
    from dataclasses import replace

    return replace(handler, enabled=False)
