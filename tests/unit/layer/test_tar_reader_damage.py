"""Tars that are damaged, cut off or hostile: always a LayerError, never another exception and never a hang."""

from __future__ import annotations

import contextlib
import io
import tarfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tar_samples import END, gnu_tar, header, info, pax, read_tar, tar_of, with_checksum

from builder.errors import LayerError
from builder.layer.tar_reader import TarReader


def big_sample(tmp_path: Path | None = None) -> bytes:
    return tar_of(
        (info("d", tarfile.DIRTYPE), b""),
        (info("d/" + "long" * 60, pax_headers={"SCHILY.xattr.user.x": "value", "mtime": "1.5"}), b"1" * 1500),
        (info("l", tarfile.SYMTYPE, linkname="d/x" * 50), b""),
        (info("h", tarfile.LNKTYPE, linkname="d"), b""),
        (info("c", tarfile.CHRTYPE, devmajor=1, devminor=5), b""),
        (info("last"), b"2" * 600),
    )


@pytest.mark.parametrize(
    "name",
    ["../up", "a/../../up", "..", "/../etc/passwd", "a/b/../../../x", "./..", "dir/../.."],
)
@pytest.mark.parametrize("kind", [b"0", b"5", b"2"])
def test_names_that_lead_out_of_the_root(name: str, kind: bytes) -> None:
    with pytest.raises(LayerError, match="outside of its root"):
        read_tar(header(name.encode(), kind=kind, linkname=b"x") + END)
    with pytest.raises(LayerError, match="outside of its root"):
        read_tar(pax((b"path", name.encode())) + header(kind=kind, linkname=b"x") + END)


@pytest.mark.parametrize("target", ["../up", "a/../../up", "/../x"])
def test_hardlinks_that_lead_out_of_the_root(target: str) -> None:
    with pytest.raises(LayerError, match="outside of its root"):
        read_tar(header(b"f", kind=b"1", linkname=target.encode()) + END)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(header(size=b"9" * 11) + END, id="no octal digits"),
        pytest.param(header(uid=b"0x1") + END, id="hexadecimal"),
        pytest.param(header(uid=b"1_0") + END, id="underscore"),
        pytest.param(header(size=b"-7") + END, id="sign"),
        pytest.param(header(size=b"\xff" * 12) + END, id="negative size"),
        pytest.param(header(size=b"\xff" * 10 + b"\x00\x00") + END, id="very negative size"),
        pytest.param(header(size=b"\x80" + b"\xff" * 11) + END, id="size beyond all files"),
        pytest.param(header(uid=b"\xff" * 8) + END, id="negative uid"),
        pytest.param(header(gid=b"\x80\0\0\x01\0\0\0\0") + END, id="gid beyond 32 bits"),
        pytest.param(header(mtime=b"\x80\x01" + bytes(10)) + END, id="time beyond 64 bits"),
        pytest.param(header(kind=b"3", devmajor=b"\x80\0\0\0\x10\0\0\0") + END, id="no such device"),
        pytest.param(header(kind=b"3", devminor=b"\xff" * 8) + END, id="negative device"),
        pytest.param(header(b"x", kind=b"x", size=b"\xff" * 12) + END, id="pax header of negative size"),
        pytest.param(header(b"x", kind=b"L", size=b"\xff" * 11 + b"\x00") + END, id="name of negative size"),
        pytest.param(header(b"x", kind=b"x", size=b"7" * 11) + END, id="pax header of 8 GiB"),
        pytest.param(header(b"") + END, id="file without a name"),
        pytest.param(header(b"./") + header(b".", kind=b"2", linkname=b"x") + END, id="link at the root"),
        pytest.param(header(kind=b"2") + END, id="link to nothing"),
        pytest.param(header(kind=b"1", linkname=b"./") + END, id="hardlink to the root"),
        pytest.param(header(kind=b"V") + END, id="a type that is not known"),
        pytest.param(header(kind=b"\xff") + END, id="no type"),
        pytest.param(b"no tar at all".ljust(1024, b"!"), id="text"),
        pytest.param(b"short", id="short text"),
    ],
)
def test_damaged_headers(data: bytes) -> None:
    with pytest.raises(LayerError):
        read_tar(data)


@pytest.mark.parametrize(
    "record",
    [
        (b"uid", b"many"),
        (b"uid", b"1.e400"),
        (b"uid", b"4294967296"),
        (b"uid", b"-1"),
        (b"uid", b"1_0"),
        (b"size", b"-1"),
        (b"size", b"1e3"),
        (b"size", b"9" * 5000),
        (b"mtime", b"nan"),
        (b"mtime", b"inf"),
        (b"mtime", b"1.e400"),
        (b"mtime", b"9" * 19),
        (b"mtime", b"."),
        (b"mtime", b"-"),
        (b"mtime", b"1.2.3"),
        (b"path", b"a\0b"),
        (b"linkpath", b"a\0b"),
        (b"SCHILY.xattr.user.a\0b", b"1"),
    ],
)
def test_damaged_pax_values(record: tuple[bytes, bytes]) -> None:
    with pytest.raises(LayerError):
        read_tar(pax(record) + header() + END)


@pytest.mark.parametrize(
    "records",
    [
        b"no length",
        b"5 a=b",  # one byte short of its newline
        b"99 a=b\n",
        b"0 a=b\n",
        b"2 a=b\n",
        b"-6 a=b\n",
        b"+6 a=b\n",
        b"6  a=b\n",
        b"1" * 4999 + b" a=b\n",
        b" 6 a=b\n",
        b"6 a=b\n6 a",
    ],
)
def test_damaged_pax_records(records: bytes) -> None:
    data = header(b"x", kind=b"x", size=b"%o" % len(records)) + records.ljust(-(-len(records) // 512) * 512, b"\0")
    with pytest.raises(LayerError, match="damaged pax header"):
        read_tar(data + header() + END)


def sparse(*records: tuple[bytes, bytes], data: bytes = b"") -> bytes:
    return pax(*records) + header(size=b"%o" % len(data)) + data + bytes(-len(data) % 512) + END


@pytest.mark.parametrize(
    "data",
    [
        sparse((b"GNU.sparse.size", b"10")),
        sparse((b"GNU.sparse.map", b"0,5")),
        sparse((b"GNU.sparse.size", b"x"), (b"GNU.sparse.map", b"0,5")),
        sparse((b"GNU.sparse.size", b"-5"), (b"GNU.sparse.map", b"0,0")),
        sparse((b"GNU.sparse.size", b"10"), (b"GNU.sparse.map", b"0,y")),
        sparse((b"GNU.sparse.size", b"10"), (b"GNU.sparse.map", b"5,-5"), data=b"12345"),
        sparse((b"GNU.sparse.size", b"10"), (b"GNU.sparse.map", b"8,5"), data=b"12345"),
        sparse((b"GNU.sparse.size", b"10"), (b"GNU.sparse.map", b"5,3,0,3"), data=b"123456"),
        sparse((b"GNU.sparse.size", b"10"), (b"GNU.sparse.map", b"0,5"), data=b"12"),
        sparse((b"GNU.sparse.major", b"1"), (b"GNU.sparse.realsize", b"10")),
        sparse((b"GNU.sparse.major", b"1"), (b"GNU.sparse.realsize", b"10"), data=b"x\n".ljust(512, b"\0")),
        sparse((b"GNU.sparse.major", b"1"), (b"GNU.sparse.realsize", b"10"), data=b"1\n0\n".ljust(512, b"\0")),
        sparse((b"GNU.sparse.major", b"1"), (b"GNU.sparse.realsize", b"10"), data=b"-1\n".ljust(512, b"\0")),
        sparse((b"GNU.sparse.major", b"1"), (b"GNU.sparse.realsize", b"10"), data=b"1\n5\n9\n".ljust(512, b"\0")),
        sparse((b"GNU.sparse.major", b"1"), (b"GNU.sparse.realsize", b"10"), data=b"7" * 4096),
        sparse((b"GNU.sparse.major", b"1"), (b"GNU.sparse.realsize", b"10"), data=b"99999999\n" + b"1\n" * 3_000_000),
    ],
)
def test_damaged_sparse_maps(data: bytes) -> None:
    with pytest.raises(LayerError, match=r"sparse|cut off"):
        read_tar(data)


def test_every_truncation() -> None:
    data = big_sample()
    last = data.rindex(b"2" * 600) + 1024  # where the last member is complete, padding and all
    starts = {0}
    position = 0
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        for member in tar:
            position = member.offset_data + (-(-member.size // 512) * 512 if member.isreg() else 0)
            starts.add(position)
    assert last in starts
    for length in range(last):
        if length in starts:
            continue  # between two members an archive may end
        with pytest.raises(LayerError):
            read_tar(data[:length])


def test_a_member_whose_bytes_nobody_reads_must_be_there_too() -> None:
    with pytest.raises(LayerError, match="cut off"):
        list(TarReader(io.BytesIO(header(size=b"3000") + bytes(600)), "sample"))


SAMPLES = [big_sample()]


@pytest.fixture(scope="module", autouse=True)
def _sparse_sample(tmp_path_factory: pytest.TempPathFactory) -> None:
    directory = tmp_path_factory.mktemp("sparse")
    with (directory / "sparse").open("wb") as file:
        for at in range(40):
            file.seek(at << 14)
            file.write(b"x")
        file.truncate(1 << 20)
    for options in (["--format=gnu"], ["--sparse-version=0.0"], ["--sparse-version=0.1"], ["--sparse-version=1.0"]):
        format_option = [] if options[0].startswith("--format") else ["--format=pax"]
        SAMPLES.append(gnu_tar(directory, "--sparse", *format_option, *options, names=["sparse"]))


def _read_some(data: bytes) -> None:
    """Read everything, but no more than 4 MiB of a member: a sparse one may say that it has terabytes."""
    for member in TarReader(io.BytesIO(data), "sample"):
        left = 4 << 20
        while member.data is not None and left > 0 and (chunk := member.data.read(1 << 18)):
            left -= len(chunk)


@settings(max_examples=150, deadline=None)
@given(
    st.integers(0, 4),
    st.lists(st.tuples(st.integers(0, 1 << 20), st.integers(0, 255)), min_size=1, max_size=8),
    st.booleans(),
    st.integers(0, 1 << 20),
)
def test_random_damage(which: int, changes: list[tuple[int, int]], repair: bool, cut: int) -> None:
    data = bytearray(SAMPLES[which][: 60 * 512])
    for at, value in changes:
        data[at % len(data)] = value
    if repair:  # so that damage gets past the checksum
        for start in range(0, len(data) - 511, 512):
            if data[start + 257 : start + 262] == b"ustar":
                data[start : start + 512] = with_checksum(data[start : start + 512])
    if cut % 4 == 0:
        del data[cut % len(data) :]
    with contextlib.suppress(LayerError):
        _read_some(bytes(data))


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_headers_of_any_content(data: st.DataObject) -> None:
    """Blocks with a fitting checksum, and anything in each of the fields."""
    fields = {"mode": 8, "uid": 8, "gid": 8, "size": 12, "mtime": 12, "linkname": 100, "devmajor": 8, "devminor": 8}
    blocks = b""
    for _ in range(data.draw(st.integers(1, 3))):
        values = {name: data.draw(st.binary(max_size=length)) for name, length in fields.items()}
        size = values.pop("size")
        kind = data.draw(st.sampled_from([b"0", b"1", b"2", b"3", b"5", b"6", b"x", b"g", b"L", b"K", b"S"]))
        blocks += header(data.draw(st.binary(max_size=100)), kind=kind, size=size, **values)
        blocks += data.draw(st.binary(max_size=600))
    with contextlib.suppress(LayerError):
        _read_some(blocks)
