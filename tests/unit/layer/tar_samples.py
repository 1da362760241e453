"""Tars for the tests of the reader: written by Python's tarfile, by GNU tar, and by hand."""

from __future__ import annotations

import io
import subprocess
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from builder.layer.entry import Entry
from builder.layer.tar_reader import TarReader


class Read(NamedTuple):
    """A member with all of its bytes."""

    path: str
    entry: Entry
    data: bytes | None


class Trickle:
    """A stream that gives a few bytes at a time, however many are asked for."""

    def __init__(self, data: bytes, most: int) -> None:
        self._stream, self._most = io.BytesIO(data), most

    def read(self, size: int = -1, /) -> bytes:
        return self._stream.read(self._most if size < 0 else min(size, self._most))


def read_tar(data: bytes, *, most: int | None = None) -> list[Read]:
    """All members of a tar, with their bytes read in pieces of 1000."""
    stream = io.BytesIO(data) if most is None else Trickle(data, most)
    members = []
    for member in TarReader(stream, "sample"):
        content = None
        if member.data is not None:
            content = b"".join(iter(lambda source=member.data: source.read(1000), b""))
        members.append(Read(member.path, member.entry, content))
    return members


def by_path(members: Sequence[Read]) -> dict[str, Read]:
    return {member.path: member for member in members}


def tar_of(*members: tuple[tarfile.TarInfo, bytes], tar_format: int = tarfile.PAX_FORMAT, **options: object) -> bytes:
    """A tar written by tarfile."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tar_format, **options) as tar:
        for info, data in members:
            info.size = len(data) if info.isreg() else info.size
            tar.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def info(name: str, kind: bytes = tarfile.REGTYPE, **fields: object) -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    made.type = kind
    for key, value in fields.items():
        setattr(made, key, value)
    return made


def gnu_tar(directory: Path, *options: str, names: Sequence[str] = (".",)) -> bytes:
    """What GNU tar makes of a directory."""
    command = ["tar", "-C", str(directory), "--sort=name", *options, "-cf", "-", *names]
    return subprocess.run(command, check=True, capture_output=True, timeout=30).stdout


def header(name: bytes = b"f", *, kind: bytes = b"0", size: bytes = b"0", **fields: bytes) -> bytes:
    """A ustar header block by hand; fields are put in as they are, the checksum fits."""
    layout = {
        "mode": (100, 8),
        "uid": (108, 8),
        "gid": (116, 8),
        "size": (124, 12),
        "mtime": (136, 12),
        "linkname": (157, 100),
        "magic": (257, 8),
        "devmajor": (329, 8),
        "devminor": (337, 8),
        "prefix": (345, 155),
    }
    block = bytearray(512)
    values = {
        "mode": b"0000644",
        "uid": b"0",
        "gid": b"0",
        "mtime": b"0",
        "magic": b"ustar\x0000",
        "size": size,
    } | fields
    block[: len(name)] = name
    for key, value in values.items():
        start, length = layout[key]
        assert len(value) <= length, key
        block[start : start + len(value)] = value
    block[156:157] = kind
    return bytes(with_checksum(block))


def with_checksum(block: bytearray) -> bytearray:
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block[:512])
    return block


def pax(*records: tuple[bytes, bytes], kind: bytes = b"x") -> bytes:
    """A pax header member with these records."""
    data = b""
    for key, value in records:
        body = b" " + key + b"=" + value + b"\n"
        length = len(body) + 1
        while len(str(length)) + len(body) != length:
            length = len(str(length)) + len(body)
        data += b"%d" % length + body
    return header(b"pax", kind=kind, size=b"%o" % len(data)) + data + bytes(-len(data) % 512)


END = bytes(1024)
