"""Values of flags as Go's strconv and time packages read them."""

from __future__ import annotations

import re

from builder.errors import UsageError

_TRUE = frozenset(("1", "t", "T", "true", "TRUE", "True"))
_FALSE = frozenset(("0", "f", "F", "false", "FALSE", "False"))
_NANOSECONDS = {
    "ns": 1,
    "us": 10**3,
    "µs": 10**3,
    "μs": 10**3,
    "ms": 10**6,
    "s": 10**9,
    "m": 60 * 10**9,
    "h": 3600 * 10**9,
}
_DURATION_PART = re.compile(r"(\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h)")


def boolean(text: str, source: str) -> bool:
    """strconv.ParseBool; `source` is what the message calls it. Raises UsageError."""
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    raise UsageError(f"{source} is true or false, not {text!r}")


def integer(text: str, source: str) -> int:
    """A decimal integer with an optional sign. Raises UsageError."""
    if not re.fullmatch(r"[+-]?[0-9]{1,18}", text):
        raise UsageError(f"{source} is a whole number, not {text!r}")
    return int(text)


def duration(text: str, source: str) -> int:
    """time.ParseDuration, in nanoseconds. Raises UsageError."""
    body = text.lstrip("+-") if text[:1] in ("+", "-") else text
    if body == "0":
        return 0
    parts = _DURATION_PART.findall(body)
    if not parts or "".join(number + unit for number, unit in parts) != body:
        raise UsageError(f"{source} is a duration, not {text!r}", hint="a duration is e.g. 6h, 90m or 1h30m")
    total = sum(round(float(number) * _NANOSECONDS[unit]) for number, unit in parts)
    return -total if text.startswith("-") else total
