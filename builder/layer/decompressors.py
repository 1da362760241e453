"""Decompressors of single members, all with the interface of bz2's: their libraries differ in it."""

from __future__ import annotations

import bz2
import lzma
from collections.abc import Callable, Generator
from typing import Protocol

GZIP_WINDOW = 31  # zlib's 15 bits of window, and 16 for a gzip header without a time stamp
_ZSTD_WINDOW = 1 << 27
_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
_RUN_LENGTH = 1
_XZ_MEMORY = 1 << 29


class OneMember(Protocol):
    """One frame or gzip member; bz2's, lzma's and (adapted) zlib's decompressors."""

    @property
    def eof(self) -> bool: ...

    @property
    def needs_input(self) -> bool: ...

    @property
    def unused_data(self) -> bytes: ...

    def decompress(self, data: bytes, max_length: int = -1) -> bytes: ...


def _gunzip() -> OneMember:
    """ISA-L's decompressor."""
    from isal import igzip_lib

    inner: OneMember = igzip_lib.IgzipDecompressor(flag=igzip_lib.DECOMP_GZIP)
    return inner


class _Unzstd:
    """zstandard's decompressor with the interface of bz2's.

    It knows no `max_length`, and 256 KiB of input may stand for gigabytes of zeros: so it gets its input a block at a
    time, which stands for 128 KiB at most.
    """

    def __init__(self) -> None:
        import zstandard

        self._inner = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW).decompressobj()
        self._input = b""
        self._layout = _zstd_layout()
        self._left = next(self._layout)
        self._piece = b""

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def needs_input(self) -> bool:
        return not self._input

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data + self._input

    def decompress(self, data: bytes, max_length: int = -1) -> bytes:
        data, at = self._input + data, 0
        parts, size = list[bytes](), 0
        while at < len(data) and not self._inner.eof and (max_length < 0 or size < max_length):
            piece = data[at : at + self._left]
            at += len(piece)
            parts.append(self._inner.decompress(piece))
            size += len(parts[-1])
            self._advance(piece)
        self._input = data[at:]
        return b"".join(parts)

    def _advance(self, piece: bytes) -> None:
        self._left -= len(piece)
        self._piece += piece
        while not self._left and not self._inner.eof:
            # What is left when the layout ends, the decompressor itself has to object to.
            self._piece, self._left = b"", _next_length(self._layout, self._piece)


def _next_length(layout: Generator[int, bytes, None], piece: bytes) -> int:
    try:
        return layout.send(piece)
    except StopIteration:
        return 1


def _zstd_layout() -> Generator[int, bytes, None]:
    """The lengths of the parts of a frame, one after the other; takes each part (RFC 8878, 3.1)."""
    start = yield 5
    if start[:4] != _ZSTD_MAGIC:
        size = yield 3  # a skippable frame
        yield int.from_bytes(start[4:] + size, "little")
        return
    flags = start[4]
    single_segment = flags >> 5 & 1
    yield (1 - single_segment) + (0, 1, 2, 4)[flags & 3] + (single_segment, 2, 4, 8)[flags >> 6]
    last = 0
    while not last:
        block = int.from_bytes((yield 3), "little")
        last, kind = block & 1, block >> 1 & 3
        yield 1 if kind == _RUN_LENGTH else block >> 3
    yield 4 * (flags >> 2 & 1)


NEW: dict[str, Callable[[], OneMember]] = {
    "gzip": _gunzip,
    "zstd": _Unzstd,
    "xz": lambda: lzma.LZMADecompressor(memlimit=_XZ_MEMORY),
    "bzip2": bz2.BZ2Decompressor,
}
