"""What gzip does by default: small layers become small, large ones do not take long.

A gzip file may consist of several members (RFC 1952, 2.2), which every reader of layers takes for one. So the beginning
of a layer is compressed well, what follows quickly. Most layers are all beginning.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import NamedTuple, Protocol

from builder.layer.decompressors import GZIP_WINDOW


class Member(Protocol):
    """A compressor of zlib or isal, for one member."""

    def compress(self, data: bytes, /) -> bytes: ...

    def flush(self) -> bytes: ...


class Tier(NamedTuple):
    """How the next `size` bytes are compressed; None for all that follow."""

    size: int | None
    new: Callable[[], Member]


def by_zlib(level: int) -> Member:
    return zlib.compressobj(level, zlib.DEFLATED, GZIP_WINDOW)


def by_isal(level: int) -> Member:
    """`level` is one of ISA-L's own, 1 to 3. Its bytes may depend on the processor."""
    from isal import isal_zlib

    member: Member = isal_zlib.compressobj(level, isal_zlib.DEFLATED, GZIP_WINDOW)
    return member


# Measured with sources and with programs: this is at most a tenth more than what zlib's level 6 makes of them.
FAST = (
    Tier(6 << 20, lambda: by_zlib(5)),
    Tier(64 << 20, lambda: by_isal(3)),
    Tier(None, lambda: by_isal(1)),
)
DETERMINISTIC = (
    Tier(64 << 20, lambda: by_zlib(4)),
    Tier(None, lambda: by_zlib(1)),
)


class Tiered:
    """A compressor that goes from tier to tier. Its bytes do not depend on how the input was cut."""

    def __init__(self, tiers: tuple[Tier, ...]) -> None:
        self._tiers = iter(tiers)
        self._next()

    def compress(self, data: bytes, /) -> bytes:
        if self._left is None or len(data) <= self._left:
            return self._in_tier(data)
        rest, parts = memoryview(data), []
        while rest:
            part = rest if self._left is None else rest[: self._left]
            rest = rest[len(part) :]
            parts.append(self._in_tier(part))
            if rest:
                parts.append(self._member.flush())
                self._next()
        return b"".join(parts)

    def flush(self) -> bytes:
        return self._member.flush()

    def _in_tier(self, data: bytes | memoryview) -> bytes:
        if self._left is not None:
            self._left -= len(data)
        return self._member.compress(data)  # type: ignore[arg-type]  # both take any buffer

    def _next(self) -> None:
        tier = next(self._tiers)
        self._left, self._member = tier.size, tier.new()
