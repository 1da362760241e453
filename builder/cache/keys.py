"""Keys: a SHA-256 over everything that a result depends on, framed so that no two inputs give one key.

What a key is made from is a list of components, each a name for people and a value. Every text is preceded by its
length, every list by its count: nothing in one text can be taken for the end of it and the beginning of another.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from builder.cache.base import CacheKey

_SCHEMA = "builder layer key 1"
"""Changed with everything that makes the same inputs give another layer, or another list of components."""

Value = str | bytes | int | None | Sequence["Value"]
"""What can be framed; texts are str with surrogateescape."""


@dataclass(frozen=True, slots=True)
class Component:
    """One thing that a result depends on.

    Attributes:
        name: what people call it: ``ARG VERSION``, ``context file app/x.py``. Part of the key.
        digest: of its value, hexadecimal; the value itself is in no key and no record.
        format: it says only how the result is written, so the following instructions do not depend on it.
    """

    name: str
    digest: str
    format: bool = False


def component(name: str, value: Value, *, format: bool = False) -> Component:  # noqa: A002 - its own word
    """A component of this value."""
    return Component(name, framed(value), format)


def framed(value: Value) -> str:
    """The SHA-256 of a value, hexadecimal. Values of different type or shape never give the same bytes to hash."""
    parts: list[bytes] = []
    _frame(value, parts.append)
    return hashlib.sha256(b"".join(parts)).hexdigest()


def key_of(components: Sequence[Component]) -> CacheKey:
    """The key of what depends on all of `components`, in this order."""
    return CacheKey(framed([_SCHEMA, [[each.name, each.digest] for each in components]]))


def identity_of(components: Sequence[Component]) -> str:
    """What following keys are made from: as the key, but for how the result is written."""
    return framed(["identity", _SCHEMA, [[each.name, each.digest] for each in components if not each.format]])


def _frame(value: Value, add: Callable[[bytes], None]) -> None:
    # Called a dozen times for each file of a context: a chain of tests is the fastest.
    if isinstance(value, str):
        data = value.encode("utf-8", "surrogateescape")
        add(b"s%d:" % len(data))
        add(data)
    elif value is None:
        add(b"n")
    elif isinstance(value, int):
        add(b"i%d;" % value)
    elif isinstance(value, bytes):
        add(b"b%d:" % len(value))
        add(value)
    else:
        add(b"l%d:" % len(value))
        for each in value:
            _frame(each, add)
