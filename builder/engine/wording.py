"""Values as Go prints them: BuildKit's histories are made of them, and ours are to be the same."""

from __future__ import annotations

from collections.abc import Sequence

from builder.image.config import Healthcheck

_ESCAPES = {
    "\a": "\\a", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\v": "\\v", "\\": "\\\\", '"': '\\"',
}  # fmt: skip
_MILLISECOND, _SECOND = 1_000_000, 1_000_000_000


def quoted(text: str) -> str:
    """A string as ``%q`` prints it."""
    return '"' + "".join(_escaped(character) for character in text) + '"'


def quoted_list(words: Sequence[str]) -> str:
    """A list of strings as ``%q`` prints it."""
    return "[" + " ".join(quoted(word) for word in words) + "]"


def plain_list(words: Sequence[str]) -> str:
    """A list of strings as ``%v`` prints it."""
    return "[" + " ".join(words) + "]"


def duration(nanoseconds: int) -> str:
    """A time.Duration as its String method prints it: ``1h2m3.5s``, ``1.5ms``, ``0s``."""
    if nanoseconds == 0:
        return "0s"
    if nanoseconds < 0:
        return "-" + duration(-nanoseconds)
    for unit, size in (("ns", 1), ("µs", 1000), ("ms", _MILLISECOND)):
        if nanoseconds < size * 1000:
            return _decimal(nanoseconds, size) + unit
    minutes, rest = divmod(nanoseconds, 60 * _SECOND)
    hours, minutes = divmod(minutes, 60)
    seconds = _decimal(rest, _SECOND) + "s"
    if hours:
        return f"{hours}h{minutes}m{seconds}"
    return f"{minutes}m{seconds}" if minutes else seconds


def healthcheck(value: Healthcheck) -> str:
    """A health check as ``%+v`` prints the struct."""
    return (
        f"{{Test:{plain_list(value.test)} Interval:{duration(value.interval)} Timeout:{duration(value.timeout)} "
        f"StartPeriod:{duration(value.start_period)} StartInterval:{duration(value.start_interval)} "
        f"Retries:{value.retries}}}"
    )


def _decimal(value: int, size: int) -> str:
    whole, rest = divmod(value, size)
    if not rest:
        return str(whole)
    digits = str(rest).rjust(len(str(size)) - 1, "0").rstrip("0")
    return f"{whole}.{digits}"


def _escaped(character: str) -> str:
    if character in _ESCAPES:
        return _ESCAPES[character]
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # a byte that was no UTF-8
        return f"\\x{code - 0xDC00:02x}"
    if code < 0x20 or code == 0x7F:
        return f"\\x{code:02x}"
    if character == " " or character.isprintable():
        return character
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
