"""The JSON form of arguments: ``["executable", "argument"]``.

The Dockerfile reference, "Exec form". Text that begins with ``[`` and is no JSON at all is an ordinary argument; a JSON
array that holds anything but strings is an error.
"""

from __future__ import annotations

import json
from typing import Any

from builder.dockerfile.whitespace import WHITESPACE


class NotStrings(ValueError):
    """A JSON array whose elements are not all strings."""


def json_strings(text: str) -> tuple[str, ...] | None:
    """The strings of a JSON array, or None if `text` is not one. Raises NotStrings."""
    text = text.lstrip(WHITESPACE)
    if not text.startswith("["):
        return None
    try:
        values: list[Any] = json.loads(text, parse_int=float, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        return None
    if not all(isinstance(value, str) for value in values):
        raise NotStrings
    # A lone surrogate (\ud800) is no character and could not be written to a config.
    return tuple(value.encode("utf-16", "surrogatepass").decode("utf-16", "replace") for value in values)


def is_json_form(text: str) -> bool:
    """Whether `text` is a JSON array of strings."""
    try:
        return json_strings(text) is not None
    except NotStrings:
        return False


def _no_constant(name: str) -> None:
    raise ValueError(name)
