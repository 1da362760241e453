"""Compression and its detection: round trips, several members, damage, levels."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import random
import resource
import struct
import subprocess
import zlib

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st
from tar_samples import Trickle

from builder.errors import LayerError, UsageError
from builder.layer.compression import compressor, decompressed, detect

PACK = {
    "gzip": lambda data: gzip.compress(data, 6),
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "zstd": lambda data: zstandard.ZstdCompressor(write_checksum=True).compress(data),
}
ALL = sorted(PACK)
DATA = b"".join(b"%d\n" % number for number in range(20_000))


def unpacked(data: bytes, *, most: int | None = None, size: int = 100_000) -> bytes:
    stream = io.BytesIO(data) if most is None else Trickle(data, most)
    readable = decompressed(stream, "sample")
    return b"".join(iter(lambda: readable.read(size), b""))


@pytest.mark.parametrize("name", ALL)
def test_detection(name: str) -> None:
    assert detect(PACK[name](b"x")) == name
    assert detect(PACK[name](b"")) == name


@pytest.mark.parametrize("head", [b"", b"\x1f", b"BZ", b"\xfd7zXZ", b"tar archive", b"\0" * 10, b"PK\3\4"])
def test_what_is_not_compressed(head: bytes) -> None:
    assert detect(head) is None
    assert unpacked(head) == head
    assert unpacked(head, most=1) == head
    assert decompressed(io.BytesIO(head), "sample").read() == head


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("most", [None, 1, 7, 4096])
@pytest.mark.parametrize("size", [1, 1000, 1 << 20])
def test_round_trip(name: str, most: int | None, size: int) -> None:
    data = DATA[:3000] if 1 in (most, size) else DATA
    assert unpacked(PACK[name](data), most=most, size=size) == data


@pytest.mark.parametrize("name", ALL)
def test_reading_all_at_once(name: str) -> None:
    assert decompressed(io.BytesIO(PACK[name](DATA)), "sample").read() == DATA


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("most", [None, 1, 5])
def test_several_members(name: str, most: int | None) -> None:
    parts = [b"first" * 20, b"", b"third" * 30, b"x"]
    assert unpacked(b"".join(PACK[name](part) for part in parts), most=most) == b"".join(parts)


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("rest", [bytes(1), bytes(5000), b"garbage", b"g", b"x" * 600_000, bytes(300_000) + b"tail"])
def test_what_follows_the_last_member_is_dropped_but_read(name: str, rest: bytes) -> None:
    stream = io.BytesIO(PACK[name](DATA) + rest)
    readable = decompressed(stream, "sample")
    assert b"".join(iter(lambda: readable.read(1 << 16), b"")) == DATA
    assert stream.read() == b"", "a verifying stream below has not seen its end"


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("most", [None, 3])
def test_every_truncation(name: str, most: int | None) -> None:
    packed = PACK[name](DATA[:500])
    for length in range(6, len(packed)):
        with pytest.raises(LayerError, match=f"sample \\({name}\\) is cut off"):
            unpacked(packed[:length], most=most)


def test_a_second_member_that_is_cut_off() -> None:
    for pack in PACK.values():
        with pytest.raises(LayerError, match="cut off"):
            unpacked(pack(b"first") + pack(DATA)[:-3])


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(ALL), st.integers(6, 1 << 20), st.integers(1, 255))
def test_random_damage_is_a_layer_error_or_gives_other_bytes(name: str, at: int, flip: int) -> None:
    packed = bytearray(PACK[name](DATA[:4000]))
    packed[6 + at % (len(packed) - 6)] ^= flip
    try:
        result = unpacked(bytes(packed))
    except LayerError:
        return
    assert len(result) < 10_000_000


def test_the_message_of_damage_names_what_is_damaged() -> None:
    packed = bytearray(PACK["gzip"](DATA))
    packed[-6] ^= 0xFF
    with pytest.raises(LayerError, match=r"sample \(gzip\) is damaged"):
        unpacked(bytes(packed))


@pytest.mark.parametrize("algorithm", ["gzip", "zstd"])
@pytest.mark.parametrize("difference", [-9, -1, 0, 1, 9])
def test_sizes_around_the_size_of_a_piece_of_output(algorithm: str, difference: int) -> None:
    """Output that ends just where a piece ends must not be taken for input that is missing."""
    size = (4 << 20) + difference
    packing = compressor(algorithm)
    assert len(unpacked(packing.compress(bytes(size)) + packing.flush(), size=1 << 22)) == size


def skippable(data: bytes) -> bytes:
    return struct.pack("<II", 0x184D2A55, len(data)) + data


@pytest.mark.parametrize("most", [None, 1])
def test_zstd_frames_to_be_skipped(most: int | None) -> None:
    """pzstd begins with one, zstd:chunked layers end with some."""
    pack = PACK["zstd"]
    packed = (
        skippable(b"size") + pack(b"one ") + skippable(b"") + skippable(bytes(3000)) + pack(b"two") + skippable(b"toc")
    )
    assert detect(packed) == "zstd"
    assert unpacked(packed, most=most) == b"one two"


@pytest.mark.parametrize(
    "options",
    [
        {"write_content_size": False},
        {"write_content_size": True, "write_checksum": True},
        {"level": 19},
        {"level": -5},
        {"threads": 2},
    ],
)
@pytest.mark.parametrize("size", [0, 1, 255, 256, 70_000, 300_000])
def test_zstd_frames_of_all_forms(options: dict[str, object], size: int) -> None:
    data = random.Random(size).randbytes(size // 2) + bytes(size - size // 2)
    packing = zstandard.ZstdCompressor(**options)
    for packed in (packing.compress(data), (stream := packing.compressobj()).compress(data) + stream.flush()):
        assert unpacked(packed + packed, most=None) == data * 2
        assert unpacked(packed, most=1000) == data


def test_a_zstd_bomb_takes_no_memory() -> None:
    packing = zstandard.ZstdCompressor().compressobj()
    packed = b"".join(packing.compress(bytes(1 << 20)) for _ in range(512)) + packing.flush()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    readable, size = decompressed(io.BytesIO(packed), "sample"), 0
    while chunk := readable.read(1 << 20):
        size += len(chunk)
    assert size == 512 << 20
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100 << 10  # KiB


@pytest.mark.parametrize("level", range(-1, 10))
@pytest.mark.parametrize("deterministic", [True, False])
def test_gzip_levels_are_read_by_gzip(level: int, deterministic: bool) -> None:
    packing = compressor("gzip", level, deterministic=deterministic)
    packed = packing.compress(DATA) + packing.flush()
    assert gzip.decompress(packed) == DATA
    assert packed[4:8] == bytes(4), "a time stamp"
    assert level == 0 or len(packed) < len(DATA) / 2


def test_gzip_itself_reads_a_layer() -> None:
    packing = compressor("gzip")
    packed = packing.compress(DATA) + packing.flush()
    assert subprocess.run(["gzip", "-dc"], input=packed, capture_output=True, check=True, timeout=30).stdout == DATA


@pytest.mark.parametrize("level", [-1, 1, 3, 22])
def test_zstd_levels(level: int) -> None:
    packing = compressor("zstd", level)
    packed = packing.compress(DATA[:5000]) + packing.flush()
    assert zstandard.ZstdDecompressor().decompressobj().decompress(packed) == DATA[:5000]


def test_no_compression() -> None:
    packing = compressor("none", 77)
    assert packing.compress(b"ab") + packing.compress(b"c") + packing.flush() == b"abc"


@pytest.mark.parametrize(("algorithm", "level"), [("gzip", 10), ("gzip", -2), ("zstd", 0), ("zstd", 23), ("zstd", 100)])
def test_levels_that_do_not_exist(algorithm: str, level: int) -> None:
    with pytest.raises(UsageError, match=f"--compression-level {level} is not a level of {algorithm}"):
        compressor(algorithm, level)


@pytest.mark.parametrize("algorithm", ["gzip", "zstd"])
def test_deterministic_bytes_do_not_depend_on_how_the_input_was_cut(algorithm: str) -> None:
    data = os.urandom(100_000) + bytes(100_000) + DATA * 10
    results = set()
    for size in (len(data), 1 << 16, 9999):
        packing = compressor(algorithm, deterministic=True)
        results.add(
            b"".join(packing.compress(data[at : at + size]) for at in range(0, len(data), size)) + packing.flush()
        )
    assert len(results) == 1


def test_deterministic_gzip_is_zlibs() -> None:
    packing, zlibs = compressor("gzip", 1, deterministic=True), zlib.compressobj(1, zlib.DEFLATED, 31)
    assert packing.compress(DATA) + packing.flush() == zlibs.compress(DATA) + zlibs.flush()


@pytest.mark.parametrize("deterministic", [True, False])
def test_default_gzip_of_large_layers_is_several_members_that_gzip_reads_as_one(deterministic: bool) -> None:
    data = random.Random(1).randbytes(1 << 20) * 70
    packing = compressor("gzip", deterministic=deterministic)
    packed = (
        b"".join(packing.compress(data[at : at + 700_001]) for at in range(0, len(data), 700_001)) + packing.flush()
    )
    assert subprocess.run(["gzip", "-dc"], input=packed, capture_output=True, check=True).stdout == data
    assert unpacked(packed, size=1 << 20) == data
    first = zlib.decompressobj(31)
    first.decompress(packed)
    assert first.unused_data.startswith(b"\x1f\x8b")


def test_small_layers_are_compressed_as_well_as_by_other_builders() -> None:
    packing = compressor("gzip")
    packed = packing.compress(DATA) + packing.flush()
    assert len(packed) < 1.1 * len(gzip.compress(DATA, 6))
