"""Sparse files in tar archives (GNU tar manual, "Storing Sparse Files": old GNU, pax 0.0, 0.1 and 1.0)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from builder.digest import Readable
from builder.errors import LayerError
from builder.layer.tar_header import BLOCK, number

_MAX_NUMBERS = 1 << 21


@dataclass(frozen=True, slots=True, kw_only=True)
class SparseMap:
    """Where the stored bytes belong.

    Attributes:
        size: bytes of the whole file.
        segments: (offset, length) of what is stored, ascending; None if the data begins with the map (pax 1.0).
        name: the file's real name where the header has a made-up one, else b"".
    """

    size: int
    segments: tuple[tuple[int, int], ...] | None
    name: bytes = b""


class SparseData:
    """The whole content of a sparse member: stored segments with zeros between them."""

    def __init__(self, stored: Readable, sparse: SparseMap) -> None:
        self._stored = stored
        segments = sparse.segments if sparse.segments is not None else _leading_map(stored)
        self._segments = [each for each in segments if each[1]]
        self._size, self._at = sparse.size, 0
        _check(self._segments, sparse.size)

    def read(self, size: int = -1, /) -> bytes:
        if size < 0:
            return b"".join(iter(lambda: self.read(1 << 20), b""))
        while self._segments and self._segments[0][0] + self._segments[0][1] <= self._at:
            self._segments.pop(0)
        if not self._segments or self._at < self._segments[0][0]:
            end = self._segments[0][0] if self._segments else self._size
            chunk = bytes(min(size, end - self._at))
        else:
            start, length = self._segments[0]
            chunk = self._stored.read(min(size, start + length - self._at))
            if size and not chunk:
                raise LayerError("a sparse file whose map is damaged")
        self._at += len(chunk)
        return chunk


def pax_sparse(extra: dict[str, bytes]) -> SparseMap | None:
    """The map that pax records tell, None if the member is not sparse. Raises LayerError."""
    if not extra or not any(key.startswith("GNU.sparse.") for key in extra):
        return None
    try:
        size = _number(extra.get("GNU.sparse.realsize") or extra["GNU.sparse.size"])
        name = extra.get("GNU.sparse.name", b"")
        if extra.get("GNU.sparse.major") == b"1":
            return SparseMap(size=size, segments=None, name=name)
        numbers = [_number(each) for each in extra["GNU.sparse.map"].split(b",")]
    except KeyError:
        raise LayerError("a sparse file in a form that is not supported") from None
    return SparseMap(size=size, segments=_pairs(numbers), name=name)


def gnu_sparse_map(header: bytes, take: Callable[[int], bytes]) -> SparseMap:
    """The map of an old GNU sparse header and of the extension blocks behind it, which `take` reads."""
    numbers = [number(header, at, at + 12) for at in range(386, 386 + 96, 12) if header[at]]
    more = header[482]
    while more:
        block = take(BLOCK)
        numbers += [number(block, at, at + 12) for at in range(0, 504, 12) if block[at]]
        more = block[504]
    return SparseMap(size=number(header, 483, 495), segments=_pairs(numbers))


def _leading_map(stored: Readable) -> tuple[tuple[int, int], ...]:
    """The map in front of the data: a count and as many pairs, a number a line, in whole blocks."""
    lines: list[bytes] = []
    rest, wanted = b"", 1
    while len(lines) < wanted:
        *whole, rest = (rest + _block(stored)).split(b"\n")
        if whole and not lines:
            wanted = 1 + 2 * _number(whole[0])
        lines += whole
        if len(lines) > _MAX_NUMBERS or len(rest) > BLOCK:
            raise LayerError("a sparse file whose map is damaged")
    return _pairs([_number(line) for line in lines[1:wanted]])


def _block(stored: Readable) -> bytes:
    block = b""
    while len(block) < BLOCK:
        more = stored.read(BLOCK - len(block))
        if not more:
            raise LayerError("a sparse file whose map is damaged")
        block += more
    return block


def _number(text: bytes) -> int:
    if not text.isdigit() or len(text) > 19:
        raise LayerError("a sparse file whose map is damaged")
    return int(text)


def _pairs(numbers: list[int]) -> tuple[tuple[int, int], ...]:
    return tuple(zip(numbers[::2], numbers[1::2], strict=False))


def _check(segments: list[tuple[int, int]], size: int) -> None:
    at = 0
    if size < 0:
        raise LayerError("a sparse file whose map is damaged")
    for start, length in segments:
        if start < at or length < 0 or start + length > size:
            raise LayerError("a sparse file whose map is damaged")
        at = start + length
