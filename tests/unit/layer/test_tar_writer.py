"""The tar writer's output, read by tarfile, by GNU tar and by our own reader; its determinism."""

from __future__ import annotations

import io
import os
import subprocess
import tarfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tar_samples import by_path, read_tar

from builder.layer import tar_writer
from builder.layer.changes import Changes
from builder.layer.entry import BytesContent, Entry, Kind
from builder.layer.writer import tar_chunks


def file(data: bytes, mode: int = 0o644, **fields: object) -> Entry:
    return Entry(Kind.FILE, mode, size=len(data), content=BytesContent(data))._replace(**fields)


def tar(changes: Changes) -> bytes:
    return b"".join(tar_chunks(changes))


SAMPLE: dict[str, Entry | None] = {
    "": Entry(Kind.DIRECTORY, 0o711, 1, 2, mtime=5),
    "bin": Entry(Kind.DIRECTORY, 0o755, mtime=1_700_000_000),
    "bin/su": file(b"setuid", 0o4755, uid=0, gid=0, mtime=1_600_000_000),
    "bin/tmp": Entry(Kind.DIRECTORY, 0o1777),
    "dev": Entry(Kind.DIRECTORY, 0o755),
    "dev/null": Entry(Kind.CHAR, 0o666, device=(1, 3)),
    "dev/sda": Entry(Kind.BLOCK, 0o660, device=(4095, 0o3777777)),
    "empty": file(b""),
    "far": file(b"x", uid=0o7777777, gid=0o10000000, mtime=0o77777777777),
    "further": file(b"x", uid=2**32 - 2, gid=2**32 - 2, mtime=0o100000000000),
    "link": Entry(Kind.SYMLINK, 0o777, link="bin/su"),
    "long-link": Entry(Kind.SYMLINK, 0o777, link="y" * 101),
    "n" * 101: file(b"long"),
    "/".join(["deep" * 20] * 10): file(b"deeper"),
    "old": file(b"x", mtime=-1_000_000_000),
    "pipe": Entry(Kind.FIFO, 0o600),
    "xattrs": file(b"x", xattrs={"security.capability": bytes(range(20)) + b"\n", "user.b": b"=2", "user.a": b""}),
    "removed/gone": None,
}


def test_our_own_reader_reads_what_was_written() -> None:
    found = by_path(read_tar(tar(SAMPLE)))
    for path, entry in SAMPLE.items():
        if entry is None:
            assert found["removed/.wh.gone"].entry == Entry(Kind.FILE, 0)
            continue
        assert found[path].entry._replace(content=None) == entry._replace(content=None), path
        if entry.content:
            assert found[path].data == entry.content.open().read()
    assert len(found) == len(SAMPLE)


def test_tarfile_reads_what_was_written() -> None:
    with tarfile.open(fileobj=io.BytesIO(tar(SAMPLE))) as archive:
        found = {os.path.normpath(member.name).removeprefix("."): member for member in archive}
        assert found["bin/su"].mode == 0o4755
        assert archive.extractfile(found["n" * 101]).read() == b"long"
        assert found["/".join(["deep" * 20] * 10)].isreg()
        assert (found["further"].uid, found["further"].mtime) == (2**32 - 2, 0o100000000000)
        assert (found["far"].uid, found["far"].gid, found["far"].mtime) == (0o7777777, 0o10000000, 0o77777777777)
        assert found["old"].mtime == -1_000_000_000
        assert found["long-link"].linkname == "y" * 101
        assert found["bin/tmp"].isdir() and found["bin/tmp"].mode == 0o1777
        assert (found["dev/sda"].devmajor, found["dev/sda"].devminor) == (4095, 0o3777777)
        assert found["xattrs"].pax_headers["SCHILY.xattr.user.b"] == "=2"
        assert {member.uname + member.gname for member in found.values()} == {""}


@pytest.mark.usefixtures("as_root")
def test_gnu_tar_unpacks_what_was_written(tmp_path: Path) -> None:
    hard = file(b"same")
    data = tar({**SAMPLE, "hard-1": hard, "hard-2": hard})
    command = ["tar", "-C", str(tmp_path), "--numeric-owner", "--xattrs", "--xattrs-include=user.*", "-xpf", "-"]
    result = subprocess.run(command, input=data, capture_output=True, timeout=30)
    assert result.returncode == 0, result.stderr
    assert (tmp_path / "bin/su").stat().st_mode & 0o7777 == 0o4755
    assert (tmp_path / ("n" * 101)).read_bytes() == b"long"
    assert (tmp_path / "hard-1").stat().st_ino == (tmp_path / "hard-2").stat().st_ino
    assert os.getxattr(tmp_path / "xattrs", "user.b") == b"=2"
    assert (tmp_path / "further").stat().st_uid == 2**32 - 2
    assert int((tmp_path / "old").stat().st_mtime) == -1_000_000_000
    assert (tmp_path / "dev/null").stat().st_rdev == os.makedev(1, 3)
    assert os.readlink(tmp_path / "long-link") == "y" * 101
    assert tmp_path.stat().st_mode & 0o7777 == 0o711


def test_hardlinks_point_to_the_first_name() -> None:
    same, alike = file(b"data", xattrs={"user.a": b"1"}), file(b"data", xattrs={"user.a": b"1"})
    members = read_tar(tar({"z": same, "a/b": same, "m": alike, "a": Entry(Kind.DIRECTORY, 0o755), "n": same}))
    assert [(each.path, each.entry.kind, each.entry.link) for each in members] == [
        ("a", Kind.DIRECTORY, ""),
        ("a/b", Kind.FILE, ""),
        ("m", Kind.FILE, ""),
        ("n", Kind.HARDLINK, "a/b"),
        ("z", Kind.HARDLINK, "a/b"),
    ]
    assert all(each.data is None for each in members if each.entry.kind is Kind.HARDLINK)


def test_hardlinks_of_symlinks_and_devices() -> None:
    link, device = Entry(Kind.SYMLINK, 0o777, link="t"), Entry(Kind.CHAR, 0o600, device=(1, 3))
    members = by_path(read_tar(tar({"1": link, "2": link, "3": device, "4": device})))
    assert (members["2"].entry.kind, members["2"].entry.link) == (Kind.HARDLINK, "1")
    assert (members["4"].entry.kind, members["4"].entry.link) == (Kind.HARDLINK, "3")


def test_a_hardlink_to_a_long_name() -> None:
    same = file(b"x")
    assert by_path(read_tar(tar({"l" * 150: same, "z": same})))["z"].entry.link == "l" * 150


def test_directories_are_no_hardlinks_of_each_other() -> None:
    same = Entry(Kind.DIRECTORY, 0o755)
    assert [each.entry.kind for each in read_tar(tar({"a": same, "b": same}))] == [Kind.DIRECTORY] * 2


@pytest.mark.parametrize("size", [0o77777777777, 0o100000000000, 1 << 40, (1 << 62) + 1])
def test_sizes_beyond_8_gib(size: int) -> None:
    block = tar_writer.header("big", Entry(Kind.FILE, 0o644, size=size))
    assert len(block) % 512 == 0
    with tarfile.open(fileobj=io.BytesIO(block + bytes(1024))) as archive:
        assert archive.next().size == size
    assert (len(block) == 512) == (size <= 0o77777777777), "a pax header only where it is needed"


@pytest.mark.parametrize("length", [98, 99, 100, 101])
def test_names_around_the_length_of_their_field(length: int) -> None:
    name = "x" * length
    changes = {name: file(b"1"), f"d{name[1:]}": Entry(Kind.DIRECTORY, 0o755), "l": Entry(Kind.SYMLINK, 0, link=name)}
    found = by_path(read_tar(tar(changes)))
    assert set(found) == set(changes)
    assert found["l"].entry.link == name
    with tarfile.open(fileobj=io.BytesIO(tar(changes))) as archive:
        assert {member.name for member in archive} == set(changes)


def test_paths_are_sorted_with_parents_before_children() -> None:
    changes = {
        path: Entry(Kind.DIRECTORY, 0o755)
        for path in ("b/c", "a-b", "a/z", "a", "b", "a.b", "a/b", "B", "ä", "a\udcff")
    }
    paths = [each.path for each in read_tar(tar(changes))]
    assert sorted(paths) == sorted(changes)
    for path in paths:
        parent = path.rpartition("/")[0]
        assert not parent or paths.index(parent) < paths.index(path)


def test_the_order_in_which_changes_came_does_not_matter() -> None:
    forwards, backwards = tar(SAMPLE), tar(dict(reversed(SAMPLE.items())))
    assert forwards == backwards
    reordered = SAMPLE["xattrs"]._replace(xattrs=dict(reversed(SAMPLE["xattrs"].xattrs.items())))
    assert tar({**SAMPLE, "xattrs": reordered}) == forwards


def test_nothing_but_the_entries_is_in_the_bytes() -> None:
    """A tar made by hand: no names of users, no times but mtime, no padding beyond two blocks."""
    data = tar({"f": file(b"abc", 0o640, uid=8, gid=9, mtime=10)})
    block = bytearray(512)
    block[0:1] = b"f"
    block[100:148] = b"0000640\x000000010\x000000011\x0000000000003\x0000000000012\x00"
    block[156:157] = b"0"
    block[257:265] = b"ustar\x0000"
    block[329:345] = b"0000000\x000000000\x00"
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    assert data == bytes(block) + b"abc".ljust(512, b"\0") + bytes(1024)


def test_nothing_gives_an_empty_archive() -> None:
    assert tar({}) == bytes(1024)


names = st.lists(
    st.binary(min_size=1, max_size=90).filter(
        lambda part: b"/" not in part and b"\0" not in part and part not in (b".", b"..")
    ),
    min_size=1,
    max_size=4,
).map(lambda parts: os.fsdecode(b"/".join(parts)))
entries = st.one_of(
    st.builds(
        lambda data, mode, uid, mtime, xattrs: file(data, mode, uid=uid, mtime=mtime, xattrs=xattrs or None),
        st.binary(max_size=1200),
        st.integers(0, 0o7777),
        st.integers(0, 2**32 - 1),
        st.integers(-(2**62), 2**62),
        st.dictionaries(
            st.sampled_from(["user.a", "user.ä", "security.capability"]), st.binary(max_size=50), max_size=3
        ),
    ),
    st.builds(
        lambda link: Entry(Kind.SYMLINK, 0o777, link=os.fsdecode(link)),
        st.binary(min_size=1, max_size=300).filter(lambda text: b"\0" not in text),
    ),
    st.none(),
)


@settings(max_examples=80, deadline=None)
@given(st.dictionaries(names, entries, max_size=6))
def test_whatever_is_written_is_read_back(changes: dict[str, Entry | None]) -> None:
    changes = {path: entry for path, entry in changes.items() if not path.rpartition("/")[2].startswith(".wh.")}
    found = by_path(read_tar(tar(changes)))
    assert len(found) == len(changes)
    for path, entry in changes.items():
        if entry is None:
            parent, slash, name = path.rpartition("/")
            assert found[f"{parent}{slash}.wh.{name}"].entry.size == 0
        else:
            assert found[path].entry._replace(content=None) == entry._replace(content=None)
            assert entry.content is None or found[path].data == entry.content.open().read()
