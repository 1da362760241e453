"""Pieces of flag values: one of a few words, KEY=VALUE, paths, lists."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TypeVar, cast

from builder.errors import UsageError

_Word = TypeVar("_Word", bound=str)


def choice(flag: str, value: str, words: Sequence[_Word]) -> _Word:
    """`value` if it is one of `words`. Raises UsageError, which names them."""
    if value not in words:
        raise UsageError(f"--{flag} is one of {', '.join(words)}, not {value!r}")
    return cast(_Word, value)


def pairs(flag: str, values: Iterable[str]) -> dict[str, str]:
    """KEY=VALUE texts to a mapping; the last of a key wins. Raises UsageError."""
    result = {}
    for text in values:
        key, equals, value = text.partition("=")
        if not equals or not key:
            raise UsageError(f"--{flag} takes KEY=VALUE, not {text!r}")
        result[key] = value
    return result


def lists(flag: str, values: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """``A=B;C=D`` texts to what each key is mapped to, in order. Raises UsageError."""
    result: dict[str, tuple[str, ...]] = {}
    for text in (part.strip() for value in values for part in value.split(";")):
        if not text:
            continue
        key, value = next(iter(pairs(flag, (text,)).items()))
        result[key] = (*result.get(key, ()), value)
    return result


def split(values: Iterable[str]) -> list[str]:
    """The parts of values with commas, without blanks around them; empty ones are left out."""
    return [part.strip() for value in values for part in value.split(",") if part.strip()]


def path(value: str) -> Path | None:
    """An absolute path, None for ""; the working directory may change later."""
    return Path(os.path.abspath(value)) if value else None
