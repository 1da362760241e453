"""``--chmod`` values: octal, or symbolic as chmod(1) takes them (POSIX, "chmod", Grammar)."""

from __future__ import annotations

import re
from collections.abc import Callable

from builder.errors import UsageError

SetMode = Callable[[int, bool], int]
"""From a mode and whether it is a directory's to the new mode."""

_CLAUSE = re.compile(r"([ugoa]*)((?:[-+=][rwxXstugo]*)+)")
_ACTION = re.compile(r"([-+=])([rwxXstugo]*)")
_SHIFTS = {"u": 6, "g": 3, "o": 0}
_BITS = {"r": 4, "w": 2, "x": 1}
_SPECIAL = {"u": 0o4000, "g": 0o2000, "o": 0o1000}


def parse_mode(text: str) -> SetMode:
    """The change that `text` asks for. Raises UsageError."""
    if (octal := octal_mode(text)) is not None:
        return lambda mode, is_directory: octal
    clauses = [_CLAUSE.fullmatch(each) for each in text.split(",")]
    if text[:1].isdigit() or not all(clauses):
        raise UsageError(
            f"invalid chmod parameter {text!r}",
            hint="give an octal number between 0 and 07777, or symbols such as u=rwX,go=rX",
        )
    actions = [
        (_classes(clause[1]), operator, symbols)
        for clause in clauses
        if clause
        for operator, symbols in _ACTION.findall(clause[2])
    ]

    def change(mode: int, is_directory: bool) -> int:
        for classes, operator, symbols in actions:
            mode = _applied(mode, classes, operator, symbols, is_directory)
        return mode

    return change


def octal_mode(text: str) -> int | None:
    """The value of an octal ``--chmod``, None if it is not one."""
    if re.fullmatch("[0-7]+", text) and int(text, 8) <= 0o7777:
        return int(text, 8)
    return None


def _classes(letters: str) -> str:
    return "ugo" if not letters or "a" in letters else letters


def _applied(mode: int, classes: str, operator: str, symbols: str, is_directory: bool) -> int:
    bits = mask = 0
    for letter in set(classes):
        shift = _SHIFTS[letter]
        bits |= _permissions(mode, symbols, is_directory) << shift
        mask |= 7 << shift | _SPECIAL[letter]
        if ("t" if letter == "o" else "s") in symbols:
            bits |= _SPECIAL[letter]
    if operator == "+":
        return mode | bits
    if operator == "-":
        return mode & ~bits
    # chmod(1) keeps a directory's set-ID bits unless they are named.
    if is_directory and "s" not in symbols:
        mask &= ~0o6000
    return mode & ~mask | bits


def _permissions(mode: int, symbols: str, is_directory: bool) -> int:
    value = 0
    for symbol in symbols:
        if symbol in _BITS:
            value |= _BITS[symbol]
        elif symbol == "X" and (is_directory or mode & 0o111):
            value |= 1
        elif symbol in _SHIFTS:
            value |= mode >> _SHIFTS[symbol] & 7
    return value
