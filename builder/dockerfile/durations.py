"""Durations as Go writes them: ``1m30s``, ``1.5h``, ``100ms``.

Go's time package, ParseDuration: an optional sign, then decimal numbers, each with an optional fraction and a unit.
"""

from __future__ import annotations

import re

from builder.errors import BuilderError

_UNITS = {
    "ns": 1,
    "us": 1_000,
    "µs": 1_000,
    "μs": 1_000,
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "m": 60_000_000_000,
    "h": 3_600_000_000_000,
}
_LONGEST = (1 << 63) - 1
_SHORTEST_CHECK = 1_000_000
_TERM = re.compile(r"([0-9]*)(?:\.([0-9]*))?(ns|us|µs|μs|ms|s|m|h)", re.ASCII)


class InvalidDuration(BuilderError):
    """A duration that is not well formed, or out of range."""

    def __init__(self, message: str) -> None:
        super().__init__(message, hint="a duration is a number and a unit (h, m, s, ms, us, ns), such as 30s or 1m30s")


def parse_duration(text: str) -> int:
    """Nanoseconds. Raises InvalidDuration."""
    rest = text[1:] if text[:1] in ("+", "-") else text
    sign = -1 if text.startswith("-") else 1
    if rest == "0":
        return 0
    total, at = 0, 0
    while at < len(rest):
        match = _TERM.match(rest, at)
        if not match or not (match[1] or match[2]):
            raise InvalidDuration(f"invalid duration {text!r}")
        total += _nanoseconds(match[1], match[2] or "", _UNITS[match[3]])
        at = match.end()
    if not at or total > _LONGEST:
        raise InvalidDuration(f"invalid duration {text!r}")
    return sign * total


def healthcheck_duration(text: str) -> int:
    """A duration of HEALTHCHECK in nanoseconds: 0, or at least a millisecond. Raises InvalidDuration."""
    duration = parse_duration(text)
    if duration and duration < _SHORTEST_CHECK:
        raise InvalidDuration(f"a duration of {text} is less than 1ms")
    return duration


def _nanoseconds(whole: str, fraction: str, unit: int) -> int:
    # Digits that cannot matter are cut: Go's numbers end there too, and Python's get slow.
    if len(whole.lstrip("0")) > 19:
        return _LONGEST + 1
    fraction = fraction[:18]
    return int(whole or 0) * unit + int(int(fraction or 0) * unit // 10 ** len(fraction))
