"""The tar reader on what GNU tar writes: sparse files in all forms, xattrs, devices, hardlinks, long names."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from tar_samples import by_path, gnu_tar, read_tar

from builder.layer.entry import Kind

FORMATS = ["v7", "oldgnu", "gnu", "ustar", "pax", "posix"]


@pytest.fixture
def files(tmp_path: Path) -> Path:
    (tmp_path / "dir").mkdir(mode=0o750)
    (tmp_path / "dir/file").write_bytes(b"content\n" * 300)
    (tmp_path / "dir/file").chmod(0o4711)
    os.utime(tmp_path / "dir/file", (1_500_000_000, 1_500_000_000.75))
    os.link(tmp_path / "dir/file", tmp_path / "hard")
    (tmp_path / "link").symlink_to("dir/../file")
    (tmp_path / "empty").touch()
    return tmp_path


@pytest.mark.parametrize("tar_format", FORMATS)
def test_every_format(files: Path, tar_format: str) -> None:
    found = by_path(read_tar(gnu_tar(files, f"--format={tar_format}", "--owner=1234", "--group=77", "--numeric-owner")))
    assert sorted(found) == ["", "dir", "dir/file", "empty", "hard", "link"]
    assert found["dir"].entry.mode == 0o750
    file = found["dir/file"]
    assert file.data == b"content\n" * 300
    assert (file.entry.mode, file.entry.uid, file.entry.gid) == (0o4711, 1234, 77)
    assert file.entry.mtime == 1_500_000_000
    assert (found["hard"].entry.kind, found["hard"].entry.link) == (Kind.HARDLINK, "dir/file")
    assert found["link"].entry.link == "dir/../file"


@pytest.mark.parametrize("tar_format", ["gnu", "pax"])
def test_long_names(tmp_path: Path, tar_format: str) -> None:
    name = "/".join(["a" * 90, "b" * 90, "c" * 200])
    (tmp_path / name).parent.mkdir(parents=True)
    (tmp_path / name).write_bytes(b"deep")
    (tmp_path / "link").symlink_to("t" * 300)
    found = by_path(read_tar(gnu_tar(tmp_path, f"--format={tar_format}")))
    assert found[name].data == b"deep"
    assert found["link"].entry.link == "t" * 300


def test_names_that_are_no_utf8(tmp_path: Path) -> None:
    for tar_format in ("gnu", "pax"):
        path = os.fsencode(tmp_path) + b"/\xff\xe9" + b"x" * 120
        Path(os.fsdecode(path)).write_bytes(b"1")
        assert by_path(read_tar(gnu_tar(tmp_path, f"--format={tar_format}")))["\udcff\udce9" + "x" * 120].data == b"1"


def _sparse(path: Path, segments: list[tuple[int, bytes]], size: int) -> bytes:
    with path.open("wb") as file:
        for offset, data in segments:
            file.seek(offset)
            file.write(data)
        file.truncate(size)
    return path.read_bytes()


SPARSE = [
    pytest.param([(0, b"head"), (1 << 20, b"middle" * 1000), (3 << 20, b"tail")], 4 << 20, id="holes between"),
    pytest.param([], 1 << 20, id="nothing but a hole"),
    pytest.param([(1 << 20, b"end")], (1 << 20) + 3, id="a hole first"),
    # More than an old header has room for, and more than one extension block.
    pytest.param([(at << 16, b"%d" % at) for at in range(60)], 60 << 16, id="many"),
]


@pytest.mark.parametrize(
    "options",
    [
        ("--format=gnu",),
        ("--format=oldgnu",),
        ("--format=pax", "--sparse-version=0.0"),
        ("--format=pax", "--sparse-version=0.1"),
        ("--format=pax", "--sparse-version=1.0"),
    ],
    ids=["gnu", "oldgnu", "0.0", "0.1", "1.0"],
)
@pytest.mark.parametrize(("segments", "size"), SPARSE)
@pytest.mark.parametrize("most", [None, 700])
def test_sparse_files(
    tmp_path: Path, options: tuple[str, ...], segments: list[tuple[int, bytes]], size: int, most: int | None
) -> None:
    content = _sparse(tmp_path / "sparse", segments, size)
    (tmp_path / "then").write_bytes(b"the next one")
    data = gnu_tar(tmp_path, "--sparse", "--hole-detection=raw", *options, names=("sparse", "then"))
    assert len(data) < size / 2, "GNU tar did not make it sparse"
    found = by_path(read_tar(data, most=most))
    assert list(found) == ["sparse", "then"]
    assert found["sparse"].entry.size == size
    assert found["sparse"].data == content
    assert found["then"].data == b"the next one"


def test_a_sparse_file_with_a_long_name(tmp_path: Path) -> None:
    name = "s" * 150
    content = _sparse(tmp_path / name, [(1 << 20, b"x")], 2 << 20)
    for options in (
        ["--format=gnu"],
        ["--format=pax", "--sparse-version=1.0"],
        ["--format=pax", "--sparse-version=0.0"],
    ):
        found = by_path(read_tar(gnu_tar(tmp_path, "--sparse", *options)))
        assert found[name].data == content


def test_xattrs(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"x")
    value = bytes(range(256))
    os.setxattr(path, "user.binary", value)
    found = by_path(read_tar(gnu_tar(tmp_path, "--format=pax", "--xattrs", "--xattrs-include=*")))
    assert found["file"].entry.xattrs == {"user.binary": value}


@pytest.mark.usefixtures("as_root")
def test_capabilities(tmp_path: Path) -> None:
    path = tmp_path / "ping"
    path.write_bytes(b"x")
    subprocess.run(["setcap", "cap_net_raw+ep", str(path)], check=True, timeout=30)
    found = by_path(read_tar(gnu_tar(tmp_path, "--format=pax", "--xattrs", "--xattrs-include=security.*")))
    assert found["ping"].entry.xattrs == {"security.capability": os.getxattr(path, "security.capability")}


@pytest.mark.usefixtures("as_root")
@pytest.mark.parametrize("tar_format", ["gnu", "ustar", "pax"])
def test_devices(tmp_path: Path, tar_format: str) -> None:
    os.mknod(tmp_path / "char", 0o20666, os.makedev(5, 1))
    os.mknod(tmp_path / "block", 0o60660, os.makedev(259, 70_000))
    os.mkfifo(tmp_path / "pipe", 0o600)
    found = by_path(read_tar(gnu_tar(tmp_path, f"--format={tar_format}")))
    assert (found["char"].entry.kind, found["char"].entry.device) == (Kind.CHAR, (5, 1))
    assert (found["block"].entry.kind, found["block"].entry.device) == (Kind.BLOCK, (259, 70_000))
    assert found["pipe"].entry.kind is Kind.FIFO


def test_times_before_1970_and_after_2242(tmp_path: Path) -> None:
    (tmp_path / "f").touch()
    for seconds in (-86_400, 9_000_000_000):
        os.utime(tmp_path / "f", (seconds, seconds))
        for tar_format in ("gnu", "pax"):
            data = gnu_tar(tmp_path, f"--format={tar_format}", f"--mtime=@{seconds}")
            assert by_path(read_tar(data))["f"].entry.mtime == seconds


def test_absolute_names_and_a_label(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"x")
    found = by_path(read_tar(gnu_tar(tmp_path, "--absolute-names", names=[str(tmp_path / "f")])))
    assert found[str(tmp_path / "f").lstrip("/")].data == b"x"
