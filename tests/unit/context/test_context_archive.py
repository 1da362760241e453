"""Contexts in archives: every compression, metadata, and archives that mean harm."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import random
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

from builder.context.archive import unpack, unpack_file
from builder.errors import ContextError


def member(name: str, kind: bytes = tarfile.REGTYPE, data: bytes = b"", link: str = "", mode: int = 0o644) -> tuple:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.mode, info.size, info.mtime = kind, link, mode, len(data), 1_600_000_000
    return info, data


def archive(*members: tuple) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for info, data in members:
            tar.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def link(name: str, target: str) -> tuple:
    return member(name, tarfile.SYMTYPE, link=target)


def hardlink(name: str, target: str) -> tuple:
    return member(name, tarfile.LNKTYPE, link=target)


def directory(name: str, mode: int = 0o755) -> tuple:
    return member(name, tarfile.DIRTYPE, mode=mode)


_DATA = random.Random(1).randbytes(300_000)


@pytest.mark.parametrize(
    "compress",
    [
        bytes,
        gzip.compress,
        lambda data: gzip.compress(data[:5000]) + gzip.compress(data[5000:]),
        bz2.compress,
        lzma.compress,
        lambda data: zstandard.ZstdCompressor().compress(data),
    ],
    ids=["plain", "gzip", "gzip-members", "bzip2", "xz", "zstd"],
)
def test_compressions_are_found_by_content(compress: Callable[[bytes], bytes], tmp_path: Path) -> None:
    file = tmp_path / "context"
    file.write_bytes(compress(archive(member("Dockerfile", data=b"FROM scratch\n"), member("a/b/data", data=_DATA))))
    target = tmp_path / "target"
    target.mkdir()
    unpack_file(file, target)
    assert (target / "Dockerfile").read_bytes() == b"FROM scratch\n"
    assert (target / "a/b/data").read_bytes() == _DATA


def test_metadata(tmp_path: Path) -> None:
    data = archive(
        directory("./"),
        directory("sealed", 0o555),
        member("sealed/run", data=b"x", mode=0o4755),
        link("up", "../outside"),
        link("absolute", "/etc/passwd"),
        hardlink("same", "./sealed/run"),
        member("fifo", tarfile.FIFOTYPE),
        member("caf\udce9", data=b"bytes"),
        member("twice", data=b"1"),
        member("twice", data=b"22"),
    )
    unpack(io.BytesIO(data), tmp_path, "test")
    found = (tmp_path / "sealed/run").stat()
    assert (found.st_mode & 0o7777, found.st_mtime) == (0o4755, 1_600_000_000)
    assert (tmp_path / "sealed").stat().st_mode & 0o7777 == 0o555
    assert (tmp_path / "sealed").stat().st_mtime == 1_600_000_000
    assert os.readlink(tmp_path / "up") == "../outside"
    assert os.readlink(tmp_path / "absolute") == "/etc/passwd"
    assert (tmp_path / "same").stat().st_ino == found.st_ino
    assert os.path.exists(os.fsencode(tmp_path) + b"/caf\xe9")
    assert (tmp_path / "twice").read_bytes() == b"22"


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ([member("../x", data=b"x")], "outside of its root: '../x'"),
        ([member("a/../../x", data=b"x")], "outside of its root: 'a/../../x'"),
        ([link("d", "/tmp"), member("d/x", data=b"x")], "has no directory 'd' to put"),
        ([link("d", "."), directory("d/x")], "has no directory 'd/x' to put"),
        ([member("f", data=b"x"), member("f/x", data=b"x")], "has no directory 'f' to put"),
        ([link("d", "/etc"), hardlink("h", "d/passwd")], "has no directory 'd' to put"),
        ([hardlink("h", "../../etc/passwd")], "outside of its root"),
        ([hardlink("h", ".")], "a link to nothing"),
        ([hardlink("h", "missing")], "No such file or directory"),
        ([member("null", tarfile.CHRTYPE)], "holds a device node: 'null'"),
    ],
)
def test_archives_that_mean_harm(members: list[tuple], message: str, tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.mkdir()
    with pytest.raises(ContextError) as caught:
        unpack(io.BytesIO(archive(*members)), target, "test")
    assert message in caught.value.message
    assert sorted(os.listdir(tmp_path)) == ["target"]


def test_an_absolute_name_is_below_the_root(tmp_path: Path) -> None:
    unpack(io.BytesIO(archive(member("/etc/x", data=b"x"))), tmp_path, "test")
    assert (tmp_path / "etc/x").read_bytes() == b"x"


def test_a_link_at_a_name_is_replaced_and_not_followed(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"kept")
    target = tmp_path / "target"
    target.mkdir()
    unpack(io.BytesIO(archive(link("x", str(victim)), member("x", data=b"new"))), target, "test")
    assert victim.read_bytes() == b"kept"
    assert (target / "x").read_bytes() == b"new"


@pytest.mark.parametrize(
    "data",
    [
        b"this is no archive, whatever its name says" * 20,
        b"\x1f\x8b" + b"garbage" * 100,
        gzip.compress(archive(member("x", data=_DATA)))[:20_000],
        archive(member("x", data=_DATA))[:100_000],
        b"BZh9" + b"garbage" * 100,
        b"\x28\xb5\x2f\xfd" + b"garbage" * 100,
        b"\xfd7zXZ\x00" + b"garbage" * 100,
        zstandard.ZstdCompressor().compress(archive(member("x", data=_DATA)))[:20_000],
        lzma.compress(archive(member("x", data=_DATA)))[:20_000],
        b"",
    ],
    ids=["text", "gzip", "cut-gzip", "cut-tar", "bzip2", "zstd", "xz", "cut-zstd", "cut-xz", "empty"],
)
def test_damaged_archives(data: bytes, tmp_path: Path) -> None:
    with pytest.raises(ContextError, match=r"the context archive \(test\)"):
        unpack(io.BytesIO(data), tmp_path, "test")


def test_a_missing_archive(tmp_path: Path) -> None:
    with pytest.raises(ContextError, match=r"x\.tar does not exist"):
        unpack_file(tmp_path / "x.tar", tmp_path)
