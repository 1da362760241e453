"""Compression of layers: gzip by ISA-L (zlib where its own bytes are asked for), zstd, and their detection."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, Protocol

from builder.digest import Readable
from builder.errors import LayerError, UsageError
from builder.layer.decompressors import NEW, OneMember
from builder.layer.gzip_tiers import DETERMINISTIC, FAST, Tiered, by_isal, by_zlib

Algorithm = Literal["gzip", "zstd", "none"]
_INPUT, _LEAST, _OUTPUT = 1 << 20, 1 << 16, 4 << 20
_XZ, _BZIP2, _ZSTD, _GZIP = b"\xfd7zXZ\x00", b"BZh", b"\x28\xb5\x2f\xfd", b"\x1f\x8b"
_LONGEST_MAGIC = 6
_ZSTD_LEVEL = 3
_LEVELS = {"gzip": range(10), "zstd": range(1, 23)}


class Compressor(Protocol):
    """The compressors of zlib, isal and zstandard."""

    def compress(self, data: bytes, /) -> bytes: ...

    def flush(self) -> bytes: ...


class _Store:
    def compress(self, data: bytes, /) -> bytes:
        return data

    def flush(self) -> bytes:
        return b""


def compressor(algorithm: Algorithm, level: int = -1, *, deterministic: bool = False) -> Compressor:
    """A new compressor.

    Args:
        level: -1 for the default; gzip 0 to 9 (0 and 7 to 9 by zlib, the others by ISA-L's three), zstd 1 to 22.
        deterministic: the bytes depend on the input alone; ISA-L's may depend on the processor.

    Raises:
        UsageError: a level that the algorithm does not have.
    """
    if algorithm == "none":
        return _Store()
    if level != -1 and level not in _LEVELS[algorithm]:
        allowed = _LEVELS[algorithm]
        raise UsageError(f"--compression-level {level} is not a level of {algorithm} ({allowed[0]} to {allowed[-1]})")
    if algorithm == "zstd":
        return _zstd(_ZSTD_LEVEL if level == -1 else level)
    if level == -1:
        return Tiered(DETERMINISTIC if deterministic else FAST)
    if level == 0 or level >= 7 or deterministic:
        return by_zlib(level)
    return by_isal(min(3, (level + 1) // 2))


def _zstd(level: int) -> Compressor:
    import zstandard

    return zstandard.ZstdCompressor(level=level, threads=-1, write_checksum=False).compressobj()


def detect(head: bytes) -> str | None:
    """The name of the compression that `head`, the first bytes of a file, begins with; None for none known."""
    for magic, name in ((_GZIP, "gzip"), (_ZSTD, "zstd"), (_XZ, "xz"), (_BZIP2, "bzip2")):
        if head.startswith(magic):
            return name
    # A skippable frame (RFC 8878, 3.1.2): pzstd begins with one, zstd:chunked ends with some.
    return "zstd" if head[1:4] == b"\x2a\x4d\x18" and head[0] & 0xF0 == 0x50 else None


def decompressed(stream: Readable, what: str) -> Readable:
    """`stream` without its compression, which is told by its first bytes; nothing else is assumed about them.

    Reads of the result raise LayerError for damaged or truncated data. Does not close the stream.
    """
    head = b""
    while len(head) < _LONGEST_MAGIC and (more := stream.read(_LONGEST_MAGIC - len(head))):
        head += more
    rest = _Prefixed(head, stream)
    name = detect(head)
    if name is None:
        return rest
    return Decompressor(rest, NEW[name], f"{what} ({name})")


class _Prefixed:
    def __init__(self, head: bytes, stream: Readable) -> None:
        self._head, self._stream = head, stream

    def read(self, size: int = -1, /) -> bytes:
        if self._head and size != 0:
            head, self._head = self._head, b""
            if 0 <= size < len(head):
                head, self._head = head[:size], head[size:]
            return head if size >= 0 else head + self._stream.read()
        return self._stream.read(size)


class Decompressor:
    """A reader of concatenated compressed members (gzip, bzip2 and xz files may be such; zstd frames too)."""

    def __init__(self, stream: Readable, new: Callable[[], OneMember], what: str) -> None:
        self._stream, self._new, self._what = stream, new, what
        self._inner: OneMember | None = new()
        self._input = b""
        self._output = b""

    def read(self, size: int = -1, /) -> bytes:
        if size < 0:
            return b"".join(iter(lambda: self.read(_OUTPUT), b""))
        while not self._output and self._inner is not None:
            self._output = self._more(min(max(size, _LEAST), _OUTPUT))
        if size >= len(self._output):
            chunk, self._output = self._output, b""
            return chunk
        chunk, self._output = self._output[:size], self._output[size:]
        return chunk

    def _more(self, most: int) -> bytes:
        """Some output (`most` bytes at most, if the library can), b"" if there is none yet.

        The inner decompressor is None once all is read.
        """
        inner = self._inner
        assert inner is not None
        if inner.eof:
            return self._next_member(inner)
        data = self._input
        if not data and inner.needs_input:
            data = self._stream.read(_INPUT)
            if not data:
                raise LayerError(f"{self._what} is cut off")
        self._input = b""
        try:
            return inner.decompress(data, most)
        except Exception as error:  # each library has an error class of its own
            if isinstance(error, MemoryError):
                raise
            raise LayerError(f"{self._what} is damaged: {error}") from None

    def _next_member(self, ended: OneMember) -> bytes:
        """Begin with the next member, if one follows; what else follows is read and dropped, as gzip(1) does."""
        following = ended.unused_data.lstrip(b"\0")  # tar's own padding of tapes
        while len(following) < _LONGEST_MAGIC and (more := self._stream.read(1 << 18)):
            following = (following + more).lstrip(b"\0")
        if detect(following) is not None:
            self._inner, self._input = self._new(), following
            return b""
        self._inner = None
        while self._stream.read(1 << 18):
            pass
        return b""
