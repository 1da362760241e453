"""Sizes and ages as flags have them and as people read them."""

from __future__ import annotations

import re

from builder.cli.go_values import duration
from builder.errors import UsageError

_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgtp]?)(i?)b?", re.IGNORECASE | re.ASCII)
_DAYS = re.compile(r"(\d+)d(?:ays?)?", re.ASCII)
_UNITS = "kmgtp"


def size(text: str, source: str) -> int:
    """Bytes of ``10GB``, ``512MiB`` or ``1000000``: powers of 1000, with an ``i`` of 1024. Raises UsageError."""
    found = _SIZE.fullmatch(text.strip())
    if not found:
        raise UsageError(f"{source}: {text!r} is not a size", hint="a size is a number with KB, MB, GB or TB behind it")
    base = 1024 if found[3] else 1000
    return int(float(found[1]) * base ** ((_UNITS.index(found[2].lower()) + 1) if found[2] else 0))


def age(text: str, source: str) -> float:
    """Seconds of a Go duration (``36h``, ``1h30m``) or of days (``7d``). Raises UsageError."""
    found = _DAYS.fullmatch(text.strip())
    seconds = int(found[1]) * 86400.0 if found else duration(text.strip(), source) / 1e9
    if seconds < 0:
        raise UsageError(f"{source}: {text} is in the future")
    return seconds


def shown(count: int) -> str:
    """A size as docker shows it: ``1.23GB``."""
    value, unit = float(count), ""
    for unit in ("B", "kB", "MB", "GB", "TB", "PB"):
        if value < 999.5 or unit == "PB":
            break
        value /= 1000
    return f"{value:.4g}{unit}"
