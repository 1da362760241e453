"""Instructions that give values to names: ARG, ENV, LABEL."""

from __future__ import annotations

from builder.dockerfile.instructions.flags import no_flags
from builder.dockerfile.instructions.parts import Parts
from builder.dockerfile.syntax import Arg, Env, Label
from builder.dockerfile.tokens import Token, quoted_words
from builder.dockerfile.whitespace import BLANKS


def parse_arg(parts: Parts) -> Arg:
    no_flags(parts)
    words = quoted_words(parts.rest, parts.escape)
    if not words:
        raise parts.error("ARG requires at least one argument", hint="write ARG NAME or ARG NAME=DEFAULT")
    pairs: list[tuple[str, str | None]] = []
    for word in words:
        name, equals, value = word.text.partition("=")
        if not name:
            raise parts.error("ARG names can not be blank", word)
        pairs.append((name, value if equals else None))
    return Arg(pairs=tuple(pairs), **parts.place)


def parse_env(parts: Parts) -> Env:
    no_flags(parts)
    pairs, legacy = _pairs(parts)
    return Env(pairs=pairs, legacy=legacy, **parts.place)


def parse_label(parts: Parts) -> Label:
    no_flags(parts)
    pairs, legacy = _pairs(parts)
    return Label(pairs=pairs, legacy=legacy, **parts.place)


def _pairs(parts: Parts) -> tuple[tuple[tuple[str, str], ...], bool]:
    words = quoted_words(parts.rest, parts.escape)
    if not words:
        raise parts.error(f"{parts.keyword} requires at least one argument", hint=f"write {parts.keyword} NAME=VALUE")
    if "=" not in words[0].text:
        return (_legacy_pair(parts, words[0]),), True
    return tuple(_pair(parts, word) for word in words), False


def _pair(parts: Parts, word: Token) -> tuple[str, str]:
    name, equals, value = word.text.partition("=")
    if not equals:
        raise parts.error(
            f"can't find = in {word.text!r}",
            word,
            f"{parts.keyword} takes NAME=VALUE; quote a value that has blanks in it",
        )
    if not name:
        raise parts.error(f"{parts.keyword} names can not be blank", word)
    return name, value


def _legacy_pair(parts: Parts, first: Token) -> tuple[str, str]:
    """``NAME VALUE``: all behind the first blank is the value."""
    name, *value = BLANKS.split(parts.rest.text, maxsplit=1)
    if not value:
        raise parts.error(f"{parts.keyword} must have two arguments", first, f"write {parts.keyword} NAME=VALUE")
    return name, value[0]
