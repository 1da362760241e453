"""ADD of local archives: told by content, unpacked into the tree, inside it whatever they contain."""

from __future__ import annotations

import bz2
import errno
import gzip
import io
import lzma
import os
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import pytest
import zstandard
from trees import entry, spec_of, specs_of, tree_of

from builder.engine.copying.archives import Unpacking, is_archive, unpack
from builder.engine.copying.copier import Copier, CopyConflict, CopyOptions
from builder.errors import BuilderError, ContextError, LayerError, StorageError
from builder.layer.entry import BytesContent, Entry, Kind
from builder.rootfs.tree import FileTree

KINDS = {
    "d": tarfile.DIRTYPE,
    "f": tarfile.REGTYPE,
    "l": tarfile.SYMTYPE,
    "p": tarfile.FIFOTYPE,
    "c": tarfile.CHRTYPE,
    "h": tarfile.LNKTYPE,
}


def archive(*members: tuple[str, str], xattrs: dict[str, str] | None = None) -> bytes:
    """A tar of names and specs as `trees.entry` has them; ``h>name`` is a hardlink."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, spec in members:
            made = Entry(Kind.HARDLINK, 0o644, link=spec[2:]) if spec.startswith("h") else entry(spec)
            info = tarfile.TarInfo(name)
            info.type = KINDS[spec[0]]
            info.mode, info.uid, info.gid, info.mtime, info.linkname = (
                made.mode,
                made.uid,
                made.gid,
                made.mtime,
                made.link,
            )
            info.devmajor, info.devminor = made.device or (0, 0)
            info.pax_headers = {f"SCHILY.xattr.{key}": value for key, value in (xattrs or {}).items()}
            data = made.content.open().read() if made.content else b""
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def add(
    scratch: Path,
    data: bytes,
    before: dict[str, str],
    target: str,
    *,
    owner: tuple[int, int] | None = None,
    time: int | None = None,
) -> tuple[FileTree, Copier]:
    tree = tree_of(before)
    copier = Copier(tree, CopyOptions(owner=owner, time=time, now=99))
    copier.make_directories(tree.find(target).path)
    how = Unpacking(owner=owner, time=time, scratch=scratch)
    unpack(BytesContent(data), "x.tar", copier, tree, tree.find(target).path, how)
    return tree, copier


def changes_of(copier: Copier) -> dict[str, str | None]:
    return {path: spec_of(each) for path, each in copier.changes.items()}


PACK: dict[str, Callable[[bytes], bytes]] = {
    "plain": bytes,
    "gzip": gzip.compress,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "zstd": zstandard.ZstdCompressor().compress,
}
SAMPLE = archive(
    ("./", "d700=9:9@9"), ("d", "d711=1:2@3"), ("d/f", "f4755=4:5@6>text"), ("l", "l@7>d/f"), ("h", "h>d/f")
)


@pytest.mark.parametrize("name", PACK)
def test_archives_are_told_by_their_content(tmp_path: Path, name: str) -> None:
    data = PACK[name](SAMPLE)
    assert is_archive(BytesContent(data))
    tree, _ = add(tmp_path, data, {}, "opt")
    assert specs_of(tree) == {
        "opt": "d@99",
        "opt/d": "d711=1:2@3",
        "opt/d/f": "f4755=4:5@6>text",
        "opt/h": "f4755=4:5@6>text",
        "opt/l": "l@7>d/f",
    }
    assert tree.entry("opt/h") is tree.entry("opt/d/f")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"text",
        b"x" * 2000,
        bytes(10240),
        gzip.compress(b"text"),
        gzip.compress(b""),
        gzip.compress(b"x" * 2000),
        gzip.compress(SAMPLE)[:20],
        b"\x1f\x8b" + bytes(100),
        lzma.compress(b"a script"),
        bz2.compress(bytes(1024)),
        SAMPLE[:511],
        SAMPLE[1:],
        b"PK\3\4" + bytes(600),
    ],
)
def test_what_is_no_archive(data: bytes) -> None:
    assert not is_archive(BytesContent(data))


def test_a_v7_archive_has_no_magic() -> None:
    block = bytearray(SAMPLE[:512])
    block[257:265] = bytes(8)
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    assert is_archive(BytesContent(bytes(block)))


class Unreadable:
    def open(self) -> BinaryIO:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ContextError, match="Permission denied"):
        is_archive(Unreadable())
    with pytest.raises(ContextError, match=r"cannot read x.tar: Permission denied"):
        how = Unpacking(owner=None, time=None, scratch=tmp_path)
        unpack(Unreadable(), "x.tar", Copier(FileTree(), CopyOptions()), FileTree(), "", how)


def test_the_dot_entry_does_not_touch_the_destination(tmp_path: Path) -> None:
    _, copier = add(tmp_path, SAMPLE, {"opt": "d1777=8:8@8"}, "opt")
    assert list(copier.changes) == ["opt/d", "opt/d/f", "opt/l", "opt/h"]


def test_a_directory_that_is_there_takes_the_archives_metadata_and_keeps_its_files(tmp_path: Path) -> None:
    tree, copier = add(tmp_path, SAMPLE, {"opt": "d", "opt/d": "d777", "opt/d/old": "f>kept"}, "opt")
    assert specs_of(tree)["opt/d"] == "d711=1:2@3"
    assert specs_of(tree)["opt/d/old"] == "f>kept"
    assert "opt/d/old" not in copier.changes


def test_one_owner_and_one_time_for_everything(tmp_path: Path) -> None:
    tree, _ = add(tmp_path, SAMPLE, {}, "opt/n", owner=(33, 44), time=5)
    assert {(each.uid, each.gid, each.mtime) for _, each in tree.walk()} == {(33, 44, 5)}
    assert tree.entry("opt/n/d/f").mode == 0o4755


def test_missing_parents_are_made(tmp_path: Path) -> None:
    _, copier = add(tmp_path, archive(("a/b/f", "f>x")), {}, "opt", owner=(7, 8))
    assert changes_of(copier) == {
        "opt": "d=7:8@99",
        "opt/a": "d=7:8@99",
        "opt/a/b": "d=7:8@99",
        "opt/a/b/f": "f=7:8>x",
    }


REPLACING: list[tuple[dict[str, str], list[tuple[str, str]], dict[str, str | None]]] = [
    ({"x": "f>old"}, [("x", "f600>new")], {"x": "f600>new"}),
    ({"x": "l>/etc/passwd", "etc": "d", "etc/passwd": "f>root"}, [("x", "f>new")], {"x": "f>new"}),
    ({"x": "d", "x/y": "d", "x/y/z": "f"}, [("x", "f>new")], {"x": "f>new"}),
    ({"x": "d", "x/y": "f"}, [("x", "l>there")], {"x": "l>there"}),
    ({"x": "f"}, [("x", "d700"), ("x/y", "f>1")], {"x": "d700", "x/y": "f>1"}),
    ({"x": "l>d", "d": "d"}, [("x", "d700"), ("x/y", "f>1")], {"x": "d700", "x/y": "f>1"}),
    ({}, [("x", "f>1"), ("x", "f>2")], {"x": "f>2"}),
    ({}, [("x", "d"), ("x/y", "f>1"), ("x", "f>2")], {"x": "f>2"}),
    ({}, [("f", "f>1"), ("h", "h>f"), ("f", "f>2")], {"f": "f>2", "h": "f>1"}),
    ({"old": "f>old"}, [("h", "h>old")], {"h": "f>old"}),
    ({"d": "d", "l": "l>d"}, [("l/f", "f>through")], {"d/f": "f>through"}),
    ({"d": "d", "l": "l>../../../d"}, [("l/f", "f>inside")], {"d/f": "f>inside"}),
    ({}, [("l", "l>/etc"), ("l/passwd", "f>x")], {"l": "l>/etc", "etc": "d@99", "etc/passwd": "f>x"}),
    ({}, [("l", "l>../../.."), ("l/f", "f>x")], {"l": "l>../../..", "f": "f>x"}),
    ({}, [("p", "p600"), ("c", "c666")], {"p": "p600", "c": "c666"}),
]


@pytest.mark.parametrize(("before", "members", "expected"), REPLACING)
def test_what_is_there_already(
    tmp_path: Path, before: dict[str, str], members: list[tuple[str, str]], expected: dict[str, str | None]
) -> None:
    tree, copier = add(tmp_path, archive(*members), before, "")
    assert changes_of(copier) == expected
    for path, spec in expected.items():
        assert spec_of(tree.entry(path)) == spec


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ([("../f", "f")], "outside of its root"),
        ([("a/../../f", "f")], "outside of its root"),
        ([("h", "h>../../etc/shadow")], "outside of its root"),
        ([("h", "h>nothing")], "hardlink h to nothing, which is not there"),
        ([("d", "d"), ("h", "h>d")], "hardlink h to d, which is not there"),
    ],
)
def test_hostile_archives(tmp_path: Path, members: list[tuple[str, str]], message: str) -> None:
    with pytest.raises(LayerError, match=message):
        add(tmp_path, archive(*members), {}, "opt")


def test_a_member_below_a_file(tmp_path: Path) -> None:
    with pytest.raises(CopyConflict, match="/opt/f is not a directory"):
        add(tmp_path, archive(("f", "f>x"), ("f/g", "f>y")), {}, "opt")


def test_a_member_below_a_link_in_a_circle(tmp_path: Path) -> None:
    with pytest.raises(BuilderError, match="too many levels"):
        add(tmp_path, archive(("l", "l>l"), ("l/g", "f>y")), {}, "opt")


@pytest.mark.parametrize("cut", [600, 1300, 2000])
def test_an_archive_that_is_cut_off(tmp_path: Path, cut: int) -> None:
    data = archive(("f", "f>" + "x" * 1000), ("g", "f>y"))
    with pytest.raises(LayerError, match=r"x\.tar is cut off"):
        add(tmp_path, data[:cut], {}, "opt")
    with pytest.raises(LayerError, match=r"x\.tar \(gzip\) is cut off"):
        add(tmp_path, gzip.compress(data)[: -cut // 100], {}, "opt")


def test_a_damaged_archive(tmp_path: Path) -> None:
    data = bytearray(archive(("f", "f>x"), ("g", "f>y")))
    data[1024 + 3] ^= 0xFF
    with pytest.raises(LayerError, match=r"x\.tar is not a tar archive, or is damaged"):
        add(tmp_path, bytes(data), {}, "opt")


def test_no_attributes_but_capabilities(tmp_path: Path) -> None:
    attributes = {
        "security.capability": "cap",
        "user.note": "1",
        "trusted.overlay.opaque": "y",
        "security.selinux": "x",
    }
    tree, _ = add(tmp_path, archive(("f", "f>x"), ("d", "d"), xattrs=attributes), {}, "")
    assert tree.entry("f").xattrs == tree.entry("d").xattrs == {"security.capability": b"cap"}
    tree, _ = add(tmp_path, archive(("f", "f>x"), xattrs={"user.note": "1"}), {}, "")
    assert tree.entry("f").xattrs is None


def test_links_have_the_mode_that_they_have_on_disk(tmp_path: Path) -> None:
    tree, _ = add(tmp_path, archive(("l", "l644>x")), {}, "")
    assert tree.entry("l").mode == 0o777


def test_no_room_for_the_bytes(tmp_path: Path) -> None:
    with pytest.raises(StorageError):
        add(tmp_path / "missing", archive(("f", "f>x")), {}, "")
