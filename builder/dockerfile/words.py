"""Words with variables, quotes and escapes: the shell-like language of Dockerfile arguments.

The Dockerfile reference, "Environment replacement", names the forms; POSIX shell, "Word Expansions", is their model.
As BuildKit reads them: quotes are removed, a single-quoted text is literal, an escape in double quotes counts before
``"``, ``$`` and itself only, patterns know ``*`` and ``?`` but no brackets.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from builder.dockerfile.patterns import PatternError, replaced, without_prefix, without_suffix
from builder.dockerfile.whitespace import is_space
from builder.errors import BuilderError

Lookup = Callable[[str], str | None]
_SPECIAL_PARAMETERS = "@*#?-$!"


def _no_value(_name: str) -> None:
    return None


class WordError(BuilderError):
    """A word that cannot be expanded: broken quotes or braces, or ``${name:?message}``."""


@dataclass(frozen=True, slots=True)
class Expanded:
    """A word after expansion, the variables in it that have a value, and those that have none."""

    text: str
    unmatched: frozenset[str] = frozenset()
    matched: frozenset[str] = frozenset()


def expand_word(word: str, lookup: Lookup, escape: str = "\\") -> Expanded:
    """Replace variables and remove quotes and escapes; blanks stay as they are.

    Raises WordError.
    """
    if not any(character in word for character in ("$", "'", '"', escape)):
        return Expanded(word)
    lexer = _Lexer(word, lookup, escape)
    text, _ = lexer.read()
    return Expanded(text, frozenset(lexer.unmatched), frozenset(lexer.matched))


def expand_words(word: str, lookup: Lookup, escape: str = "\\") -> list[str]:
    """Like `expand_word`, then split at blanks that are neither quoted nor escaped. Raises WordError."""
    return _Lexer(word, lookup, escape).read()[1]


def expand_document(text: str, lookup: Lookup) -> Expanded:
    """Replace variables and remove escapes in a heredoc; quotes mean nothing there. Raises WordError."""
    lexer = _Lexer(text, lookup, "\\", quotes="ignored")
    expanded, _ = lexer.read()
    return Expanded(expanded, frozenset(lexer.unmatched), frozenset(lexer.matched))


def raw_words(line: str, *, keep_escapes: bool) -> list[str]:
    """Split at unquoted blanks, with quotes and variables kept as they stand. Raises WordError."""
    return _Lexer(line, _no_value, "\\", quotes="kept", keep_escapes=keep_escapes, keep_unset=True).read()[1]


def unquoted_words(text: str) -> list[str]:
    """Split at unquoted blanks, quotes and escapes removed, variables kept as they stand. Raises WordError."""
    return _Lexer(text, _no_value, "\\", keep_unset=True).read()[1]


class _Words:
    """Collects characters into words; a quoted blank does not end a word, and an empty word is none."""

    def __init__(self) -> None:
        self._word = ""
        self._done: list[str] = []

    def add(self, text: str) -> None:
        for character in text:
            if not is_space(character):
                self._word += character
            elif self._word:
                self._done.append(self._word)
                self._word = ""

    def add_quoted(self, text: str) -> None:
        self._word += text

    def words(self) -> list[str]:
        return [*self._done, self._word] if self._word else self._done


class _Lexer:
    """One pass over one word.

    Args:
        quotes: whether quotes are removed, kept in the result, or ordinary characters.
        keep_escapes: leave escape characters in the result.
        keep_unset: leave variables without a value as written.
    """

    def __init__(
        self,
        source: str,
        lookup: Lookup,
        escape: str,
        *,
        quotes: Literal["removed", "kept", "ignored"] = "removed",
        keep_escapes: bool = False,
        keep_unset: bool = False,
    ) -> None:
        self._source, self._at = source, 0
        self._lookup, self._escape = lookup, escape
        self._quotes, self._keep_escapes, self._keep_unset = quotes, keep_escapes, keep_unset
        self.matched: set[str] = set()
        self.unmatched: set[str] = set()

    def read(self) -> tuple[str, list[str]]:
        """The whole text, expanded, and split into words."""
        try:
            return self._until("")
        except RecursionError:
            raise WordError("substitutions are nested too deeply") from None

    def _peek(self) -> str:
        return self._source[self._at : self._at + 1]

    def _next(self) -> str:
        character = self._peek()
        self._at += len(character)
        return character

    def _until(self, stop: str) -> tuple[str, list[str]]:
        """Up to the unquoted character `stop`, which is consumed, or to the end if it is empty."""
        text: list[str] = []
        words = _Words()
        while character := self._peek():
            if character == stop:
                self._next()
                return "".join(text), words.words()
            piece, quoted = self._piece(character)
            text.append(piece)
            (words.add_quoted if quoted else words.add)(piece)
        if stop:
            raise WordError(f"missing '{stop}'")
        return "".join(text), words.words()

    def _piece(self, character: str) -> tuple[str, bool]:
        """What stands next, and whether it is protected from splitting."""
        if character == "$":
            return self._variable(), False
        if character == "'" and self._quotes != "ignored":
            return self._single_quoted(), True
        if character == '"' and self._quotes != "ignored":
            return self._double_quoted(), True
        self._next()
        if character == self._escape:
            return (character if self._keep_escapes else "") + self._next(), True
        return character, False

    def _single_quoted(self) -> str:
        end = self._source.find("'", self._at + 1)
        if end < 0:
            raise WordError("missing closing single quote")
        text = self._source[self._at + 1 : end]
        self._at = end + 1
        return f"'{text}'" if self._quotes == "kept" else text

    def _double_quoted(self) -> str:
        text = [self._next() if self._quotes == "kept" else self._next()[:0]]
        while character := self._peek():
            if character == '"':
                text.append(self._next() if self._quotes == "kept" else self._next()[:0])
                return "".join(text)
            text.append(self._variable() if character == "$" else self._double_quoted_character())
        raise WordError("missing closing double quote")

    def _double_quoted_character(self) -> str:
        character = self._next()
        if character != self._escape:
            return character
        kept = character if self._keep_escapes else ""
        if not self._peek():
            return kept
        return kept + (self._next() if self._peek() in ('"', "$", self._escape) else character)

    def _variable(self) -> str:
        self._next()
        if self._peek() != "{":
            name = self._name()
            return self._value_or(name, f"${name}") if name else "$"
        self._next()
        if not self._peek():
            raise WordError("missing '}'")
        if self._peek() in "{}:":
            raise WordError("bad substitution")
        name = self._name()
        return self._braced(name, self._next())

    def _name(self) -> str:
        start = self._at
        if self._peek().isdecimal():
            while self._peek().isdecimal():
                self._next()
        elif self._peek() and self._peek() in _SPECIAL_PARAMETERS:
            self._next()
        else:
            while (character := self._peek()) and (character.isalpha() or character.isdecimal() or character == "_"):
                self._next()
        return self._source[start : self._at]

    def _braced(self, name: str, operator: str) -> str:
        if operator == "}":
            return self._value_or(name, f"${{{name}}}")
        if operator == "/":
            return self._replace(name)
        colon, written = operator == ":", operator
        if colon:
            operator = self._next()
            written += operator
        if not operator:
            raise WordError("missing '}'")
        if is_space(operator):
            raise WordError("bad substitution")
        if not colon and operator not in "+-?#%":
            raise WordError(f"unsupported modifier ({written}) in substitution")
        word = self._nested("}", keep_escapes=operator in "#%")
        if operator not in "+-?#%":
            raise WordError(f"unsupported modifier ({written}) in substitution")
        value = self._value(name)
        if value is None and self._keep_unset:
            return f"${{{name}{written}{word}}}"
        if operator in "#%":
            return _trimmed(value or "", operator, word)
        return _chosen(name, value, operator, word, empty_is_unset=colon)

    def _replace(self, name: str) -> str:
        everywhere = self._peek() == "/"
        if everywhere:
            self._next()
        pattern = self._nested("/", keep_escapes=True)
        replacement = self._nested("}", keep_escapes=True)
        value = self._value(name)
        if value is None and self._keep_unset:
            return f"${{{name}/{pattern}/{replacement}}}"
        try:
            return replaced(value or "", pattern, replacement, everywhere=everywhere)
        except PatternError as error:
            raise WordError(error.message) from None

    def _nested(self, stop: str, *, keep_escapes: bool) -> str:
        outer, self._keep_escapes = self._keep_escapes, keep_escapes
        try:
            return self._until(stop)[0]
        finally:
            self._keep_escapes = outer

    def _value(self, name: str) -> str | None:
        value = self._lookup(name)
        (self.unmatched if value is None else self.matched).add(name)
        return value

    def _value_or(self, name: str, written: str) -> str:
        value = self._value(name)
        if value is None:
            return written if self._keep_unset else ""
        return value


def _trimmed(value: str, operator: str, word: str) -> str:
    longest = word.startswith(operator)
    trim = without_prefix if operator == "#" else without_suffix
    try:
        return trim(value, word[1:] if longest else word, longest=longest)
    except PatternError as error:
        raise WordError(error.message) from None


def _chosen(name: str, value: str | None, operator: str, word: str, *, empty_is_unset: bool) -> str:
    missing = value is None or (empty_is_unset and not value)
    if operator == "-":
        return word if missing or value is None else value
    if operator == "+":
        return "" if missing else word
    if missing or value is None:
        default = f"is not allowed to be {'unset' if value is None else 'empty'}"
        raise WordError(f"{name}: {word or default}")
    return value
