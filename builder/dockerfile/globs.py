"""Glob patterns of COPY and ADD sources: Go's ``filepath.Match``, with ``**`` for any number of path components.

``*`` and ``?`` do not match a slash; ``[a-z]`` and ``[^a-z]`` are classes; a backslash takes the next character
literally. ``**`` is special only as a whole component: ``**/x`` also matches ``x``, ``x/**`` all below ``x``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from builder.errors import BuilderError

_NEVER = r"(?!)"


class InvalidPattern(BuilderError):
    """A glob pattern that is not well formed."""

    def __init__(self, pattern: str, reason: str) -> None:
        super().__init__(f"syntax error in pattern {pattern!r}: {reason}")


@dataclass(frozen=True, slots=True)
class Glob:
    """A parsed pattern; made by `parse`."""

    pattern: str
    _expression: re.Pattern[str] = field(repr=False, compare=False)

    @classmethod
    def parse(cls, pattern: str) -> Glob:
        """Raises InvalidPattern."""
        components = pattern.split("/") if "**" in pattern else [pattern]
        return cls(pattern, re.compile(_joined(pattern, components), re.DOTALL))

    def matches(self, path: str) -> bool:
        """Whether the whole of `path`, with single slashes and none at its ends, matches."""
        return self._expression.fullmatch(path) is not None


def has_wildcards(pattern: str) -> bool:
    """Whether the pattern has an unescaped ``*``, ``?`` or ``[``."""
    return re.search(r"[*?\[]", re.sub(r"\\.", "", pattern, flags=re.DOTALL)) is not None


def check_pattern(pattern: str) -> None:
    """Raises InvalidPattern."""
    _component(pattern, pattern)


def character_class(pattern: str, start: int) -> tuple[str, int]:
    """The regular expression of the class that begins with ``[`` at `start`, and the place behind it.

    A class matches a slash if its characters say so, as it does in Go. Raises InvalidPattern.
    """
    at = start + 1
    negated = pattern.startswith("^", at)
    at += negated
    ranges: list[str] = []
    first = True
    while first or not pattern.startswith("]", at):
        low, at = _class_character(pattern, at)
        high = low
        if pattern.startswith("-", at):
            high, at = _class_character(pattern, at + 1)
        if low <= high:
            ranges.append(f"{re.escape(low)}-{re.escape(high)}")
        first = False
    if not ranges:
        return ("." if negated else _NEVER), at + 1
    return f"[{'^' if negated else ''}{''.join(ranges)}]", at + 1


def _class_character(pattern: str, at: int) -> tuple[str, int]:
    if pattern[at : at + 1] in ("", "-", "]"):
        raise InvalidPattern(pattern, "a bracket expression is not complete")
    if pattern[at] == "\\":
        at += 1
    if at + 1 >= len(pattern):
        raise InvalidPattern(pattern, "a bracket is not closed")
    return pattern[at], at + 1


def _joined(pattern: str, components: list[str]) -> str:
    """The regular expression of components; a ``**`` brings the slash that follows it along."""
    parts: list[str] = []
    for index, component in enumerate(components):
        last = index == len(components) - 1
        if component == "**":
            parts.append(".+" if last else "(?:[^/]+/)*")
        else:
            parts.append(_component(pattern, component) + ("" if last else "/"))
    return "".join(parts)


def _component(pattern: str, component: str) -> str:
    parts: list[str] = []
    at = 0
    while at < len(component):
        character = component[at]
        at += 1
        if character == "*":
            parts.append("[^/]*")
        elif character == "?":
            parts.append("[^/]")
        elif character == "[":
            expression, at = character_class(component, at - 1)
            parts.append(expression)
        elif character == "\\":
            if at == len(component):
                raise InvalidPattern(pattern, "nothing follows the last backslash")
            parts.append(re.escape(component[at]))
            at += 1
        else:
            parts.append(re.escape(character))
    return "".join(parts)
