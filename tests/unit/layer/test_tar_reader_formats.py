"""The tar reader on what Python's tarfile writes, in all of its formats, and on headers made by hand."""

from __future__ import annotations

import tarfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tar_samples import END, by_path, header, info, pax, read_tar, tar_of, with_checksum

from builder.errors import LayerError
from builder.layer.entry import Kind

FORMATS = [
    pytest.param(tarfile.USTAR_FORMAT, id="ustar"),
    pytest.param(tarfile.GNU_FORMAT, id="gnu"),
    pytest.param(tarfile.PAX_FORMAT, id="pax"),
]


@pytest.mark.parametrize("tar_format", FORMATS)
@pytest.mark.parametrize("most", [None, 1, 513, 10_000])
def test_every_kind_of_member(tar_format: int, most: int | None) -> None:
    data = tar_of(
        (info("./", tarfile.DIRTYPE, mode=0o700), b""),
        (info("etc", tarfile.DIRTYPE, mode=0o755, uid=3, gid=4, mtime=1_600_000_000), b""),
        (info("etc/passwd", mode=0o4755, uid=1000, gid=100, mtime=1_700_000_000), b"root:x:0:0\n"),
        (info("empty"), b""),
        (info("big"), bytes(range(256)) * 40),
        (info("link", tarfile.SYMTYPE, linkname="../somewhere/else", mode=0o777), b""),
        (info("hard", tarfile.LNKTYPE, linkname="./etc/passwd"), b""),
        (info("null", tarfile.CHRTYPE, devmajor=1, devminor=3, mode=0o666), b""),
        (info("disk", tarfile.BLKTYPE, devmajor=259, devminor=131_072), b""),
        (info("pipe", tarfile.FIFOTYPE), b""),
        tar_format=tar_format,
    )
    found = by_path(read_tar(data, most=most))
    assert list(found) == ["", "etc", "etc/passwd", "empty", "big", "link", "hard", "null", "disk", "pipe"]
    assert found[""].entry.kind is Kind.DIRECTORY and found[""].entry.mode == 0o700
    etc, passwd = found["etc"].entry, found["etc/passwd"]
    assert (etc.kind, etc.mode, etc.uid, etc.gid, etc.mtime) == (Kind.DIRECTORY, 0o755, 3, 4, 1_600_000_000)
    assert passwd.entry[:6] == (Kind.FILE, 0o4755, 1000, 100, 11, 1_700_000_000)
    assert (passwd.data, found["empty"].data) == (b"root:x:0:0\n", b"")
    assert found["big"].data == bytes(range(256)) * 40
    assert (found["link"].entry.kind, found["link"].entry.link) == (Kind.SYMLINK, "../somewhere/else")
    assert (found["hard"].entry.kind, found["hard"].entry.link) == (Kind.HARDLINK, "etc/passwd")
    assert (found["null"].entry.kind, found["null"].entry.device) == (Kind.CHAR, (1, 3))
    assert (found["disk"].entry.kind, found["disk"].entry.device) == (Kind.BLOCK, (259, 131_072))
    assert (found["pipe"].entry.kind, found["pipe"].data) == (Kind.FIFO, None)


@pytest.mark.parametrize("tar_format", FORMATS)
@pytest.mark.parametrize("length", [99, 100, 101, 154, 155, 156, 200, 250])
def test_long_names_and_links(tar_format: int, length: int) -> None:
    name = ("d" * 50 + "/") * (length // 51)
    name += "f" * (length - len(name))
    target = "x" * min(length, 100 if tar_format == tarfile.USTAR_FORMAT else length)
    data = tar_of((info(name), b"bytes"), (info("link", tarfile.SYMTYPE, linkname=target), b""), tar_format=tar_format)
    found = by_path(read_tar(data))
    assert found[name].data == b"bytes"
    assert found["link"].entry.link == target


def test_a_long_name_does_not_reach_the_next_member() -> None:
    long = "n" * 300
    for tar_format in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        data = tar_of((info(long), b"1"), (info("short"), b"2"), tar_format=tar_format)
        assert [(each.path, each.data) for each in read_tar(data)] == [(long, b"1"), ("short", b"2")]


@pytest.mark.parametrize("tar_format", FORMATS)
def test_names_that_are_no_utf8(tar_format: int) -> None:
    name, target = b"caf\xe9/\xff\xfe".decode("utf-8", "surrogateescape"), "\udce9"
    data = tar_of((info(name), b"x"), (info("l", tarfile.SYMTYPE, linkname=target), b""), tar_format=tar_format)
    found = by_path(read_tar(data))
    assert found[name].data == b"x"
    assert found["l"].entry.link == target


def test_utf8_names() -> None:
    for tar_format in (tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        data = tar_of((info("Straße/日本.txt"), b"x"), tar_format=tar_format, encoding="utf-8")
        assert [each.path for each in read_tar(data)] == ["Straße/日本.txt"]


@pytest.mark.parametrize("tar_format", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
@pytest.mark.parametrize("number", [0o7777777, 0o10000000, 3_000_000_000, 2**32 - 2])
def test_large_ids(tar_format: int, number: int) -> None:
    entry = read_tar(tar_of((info("f", uid=number, gid=number - 1), b""), tar_format=tar_format))[0].entry
    assert (entry.uid, entry.gid) == (number, number - 1)


@pytest.mark.parametrize("tar_format", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
@pytest.mark.parametrize("time", [-1, -(2**31), 0, 2**31, 0o77777777777, 2**33, 2**40])
def test_times_before_1970_and_far_ahead(tar_format: int, time: int) -> None:
    assert read_tar(tar_of((info("f", mtime=time), b""), tar_format=tar_format))[0].entry.mtime == time


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        (b"1700000000.999999999", 1_700_000_000),  # as a float this would be the next second
        (b"1700000000.0", 1_700_000_000),
        (b"1700000000", 1_700_000_000),
        (b"-1.5", -2),
        (b"-1.000", -1),
        (b"-0.5", -1),
        (b"0.5", 0),
        (b"-3", -3),
    ],
)
def test_fractions_of_a_second_are_cut_off_towards_the_past(text: bytes, seconds: int) -> None:
    assert read_tar(pax((b"mtime", text)) + header() + END)[0].entry.mtime == seconds


def test_a_size_beyond_8_gib_is_read_from_both_kinds_of_header() -> None:
    size = (8 << 30) + 5
    field = b"\x80" + size.to_bytes(11, "big")
    for block in (header(size=field), pax((b"size", b"%d" % size)) + header()):
        with pytest.raises(LayerError, match="cut off"):  # it is believed, and then is not there
            read_tar(block + END)


@pytest.mark.parametrize("field", ["uid", "gid"])
def test_numbers_in_base_256(field: str) -> None:
    entry = read_tar(header(**{field: b"\x80" + (70_000).to_bytes(7, "big")}) + END)[0].entry
    assert getattr(entry, field) == 70_000


@pytest.mark.parametrize(
    ("value", "mode"),
    [(b"644\0junk", 0o644), (b"   644 \0", 0o644), (b"\0\0000644", 0o644), (b"0000644\0", 0o644), (b"", 0)],
)
def test_numbers_padded_as_old_programs_do(value: bytes, mode: int) -> None:
    assert read_tar(header(mode=value) + END)[0].entry.mode == mode


def test_only_the_permission_bits_of_a_mode_count() -> None:
    assert read_tar(header(mode=b"0107755") + END)[0].entry.mode == 0o7755


def test_a_tar_without_magic() -> None:
    data = header(b"old", magic=b"", size=b"3") + b"abc".ljust(512, b"\0") + header(b"dir/", magic=b"") + END
    assert [(each.path, each.entry.kind) for each in read_tar(data)] == [("old", Kind.FILE), ("dir", Kind.DIRECTORY)]


def test_a_checksum_of_signed_bytes() -> None:
    block = bytearray(header(b"caf\xe9"))
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(byte - 256 if byte > 127 else byte for byte in block)
    assert read_tar(bytes(block) + END)[0].path == "caf\udce9"


def test_the_prefix_of_a_ustar_name() -> None:
    assert read_tar(header(b"name", prefix=b"some/where") + END)[0].path == "some/where/name"
    # GNU keeps other things there.
    assert read_tar(header(b"name", prefix=b"123", magic=b"ustar  \0") + END)[0].path == "name"


def test_a_name_without_a_null_byte_behind_it() -> None:
    assert read_tar(header(b"n" * 100) + END)[0].path == "n" * 100


@pytest.mark.parametrize("kind", [b"\0", b"7"])
def test_other_flags_of_a_regular_file(kind: bytes) -> None:
    assert read_tar(header(kind=kind) + END)[0].entry.kind is Kind.FILE


@pytest.mark.parametrize("kind", [b"1", b"2", b"3", b"4", b"5", b"6"])
def test_only_files_have_data(kind: bytes) -> None:
    """Some programs write the size of the file with its hardlinks, but no data."""
    first = header(b"first", kind=kind, size=b"1000", linkname=b"target")
    assert [each.path for each in read_tar(first + header(b"second") + END)] == ["first", "second"]


def test_pax_records_go_before_the_header_and_the_members_before_the_global_ones() -> None:
    data = (
        pax((b"uid", b"7"), (b"gid", b"8"), kind=b"g")
        + pax((b"uid", b"9"), (b"path", b"named"), (b"SCHILY.xattr.user.a", b"1\n\0=2"))
        + header(b"ignored", uid=b"1", gid=b"1")
        + header(b"plain", uid=b"1", gid=b"1")
        + END
    )
    first, second = read_tar(data)
    assert (first.path, first.entry.uid, first.entry.gid) == ("named", 9, 8)
    assert first.entry.xattrs == {"user.a": b"1\n\0=2"}
    assert (second.path, second.entry.uid, second.entry.gid, second.entry.xattrs) == ("plain", 7, 8, None)


def test_an_empty_pax_record_takes_the_header_back() -> None:
    data = pax((b"path", b""), (b"uid", b""), (b"mtime", b"")) + header(b"name", uid=b"5", mtime=b"6") + END
    entry = read_tar(data)[0]
    assert (entry.path, entry.entry.uid, entry.entry.mtime) == ("name", 5, 6)


@pytest.mark.parametrize(
    ("name", "path"),
    [("./a", "a"), ("/a", "a"), ("a/", "a"), ("a//b", "a/b"), ("a/./b", "a/b"), ("a/../b", "b"), ("..a/.b", "..a/.b")],
)
def test_names_are_normalised(name: str, path: str) -> None:
    assert read_tar(header(name.encode(), kind=b"5") + END)[0].path == path


def test_the_padding_behind_the_end_is_read() -> None:
    class Counting:
        def __init__(self, data: bytes) -> None:
            self.left = data

        def read(self, size: int = -1, /) -> bytes:
            chunk, self.left = self.left[:700], self.left[700:]
            return chunk

    from builder.layer.tar_reader import TarReader

    stream = Counting(header() + END + bytes(20_000) + b"anything")
    assert len(list(TarReader(stream, "sample"))) == 1
    assert stream.left == b""


def test_an_archive_may_end_without_its_end_marker() -> None:
    assert len(read_tar(header())) == 1
    assert read_tar(b"") == []
    assert read_tar(END) == []


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.text(st.characters(codec="utf-8", exclude_characters="\0/\\"), min_size=1, max_size=120).filter(
                lambda name: not name.startswith(".")
            ),
            st.binary(max_size=2000),
            st.integers(0, 0o7777),
            st.integers(0, 2**32 - 1),
            st.integers(-(2**40), 2**40),
        ),
        max_size=5,
    ),
    st.sampled_from([tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]),
    st.integers(1, 3000),
)
def test_whatever_tarfile_writes_is_read(
    members: list[tuple[str, bytes, int, int, int]], tar_format: int, most: int
) -> None:
    data = tar_of(
        *((info(name, mode=mode, uid=uid, mtime=mtime), content) for name, content, mode, uid, mtime in members),
        tar_format=tar_format,
        encoding="utf-8",
    )
    found = [
        (each.path, each.data, each.entry.mode, each.entry.uid, each.entry.mtime) for each in read_tar(data, most=most)
    ]
    assert found == members


def test_a_checksum_is_computed_with_its_own_field_as_spaces() -> None:
    block = bytearray(header(b"x"))
    assert bytes(with_checksum(bytearray(block))) == bytes(block)
    block[0] ^= 1
    with pytest.raises(LayerError, match="damaged"):
        read_tar(bytes(block) + END)
