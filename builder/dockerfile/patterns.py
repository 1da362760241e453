"""Shell patterns inside ``${name#pattern}`` and its relatives: ``*``, ``?`` and escapes, no brackets.

POSIX shell, "Pattern Matching Notation", without its bracket expressions. A wildcard does not cross a line end.
"""

from __future__ import annotations

import re

from builder.errors import BuilderError

_WILDCARDS = {"*": (".*?", ".*"), "?": (".", ".")}


class PatternError(BuilderError):
    """A pattern that is not well formed."""


def without_prefix(value: str, pattern: str, *, longest: bool) -> str:
    """``${name#pattern}``, or ``##`` with `longest`. Raises PatternError."""
    return _without_start(value, _elements(pattern), longest=longest)


def without_suffix(value: str, pattern: str, *, longest: bool) -> str:
    """``${name%pattern}``, or ``%%`` with `longest`. Raises PatternError."""
    # A regular expression finds the leftmost match, but the shortest suffix is the rightmost one: look from the end.
    return _without_start(value[::-1], _elements(pattern)[::-1], longest=longest)[::-1]


def replaced(value: str, pattern: str, replacement: str, *, everywhere: bool) -> str:
    """``${name/pattern/replacement}``, or ``//`` with `everywhere`. Raises PatternError."""
    result, copied = "", 0
    for match in re.finditer(_expression(_elements(pattern), longest=True), value):
        if match.end() == match.start() == copied and copied:
            continue  # an empty match right behind another one is none
        result += value[copied : match.start()] + replacement
        copied = match.end()
        if not everywhere:
            break
    return result + value[copied:]


def _without_start(value: str, elements: list[str], *, longest: bool) -> str:
    match = re.match(_expression(elements, longest=longest), value)
    return value[match.end() :] if match else value


def _elements(pattern: str) -> list[str]:
    """Wildcards as they are, literal characters behind a backslash."""
    elements = []
    characters = iter(range(len(pattern)))
    for index in characters:
        character, following = pattern[index], pattern[index + 1 : index + 2]
        if character in _WILDCARDS:
            elements.append(character)
        elif character != "\\":
            elements.append("\\" + character)
        elif following and following in "*?\\":
            elements.append("\\" + following)
            next(characters)
        elif not following or following not in "}/":  # before these the escape was for the braces, not the pattern
            raise PatternError(f"invalid escape '\\{following}' in the pattern ({pattern})")
    return elements


def _expression(elements: list[str], *, longest: bool) -> str:
    return "".join(
        _WILDCARDS[element][longest] if element in _WILDCARDS else re.escape(element[1:]) for element in elements
    )
