"""Cuts the text of an instruction into keyword, flags and arguments, and remembers where each of them stands."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from builder.dockerfile.whitespace import BLANKS, WHITESPACE, is_space


class Token(NamedTuple):
    """A piece of an instruction's text; `start` and `end` are its place in it, `text` may have lost quotes."""

    text: str
    start: int
    end: int


class Cut(NamedTuple):
    """An instruction's text in its three parts; `rest` is without outer blanks, and empty if there is nothing."""

    keyword: Token
    flags: tuple[Token, ...]
    rest: Token


def cut(text: str) -> Cut:
    """Cut `text`, which has no outer blanks."""
    blank = BLANKS.search(text)
    keyword = Token(text[: blank.start()], 0, blank.start()) if blank else Token(text, 0, len(text))
    flags, start = _flags(text, blank.end() if blank else len(text))
    return Cut(keyword, tuple(flags), stripped(text, start, len(text)))


def stripped(text: str, start: int, end: int) -> Token:
    """The text between two places, without outer blanks."""
    start = end - len(text[start:end].lstrip(WHITESPACE))
    end = max(start, start + len(text[start:end].rstrip(WHITESPACE)))
    return Token(text[start:end], start, end)


def plain_words(token: Token) -> list[Token]:
    """Split at blanks; quotes mean nothing."""
    words: list[Token] = []
    start = 0
    if not token.text:
        return words
    for blank in BLANKS.finditer(token.text):
        words.append(Token(token.text[start : blank.start()], token.start + start, token.start + blank.start()))
        start = blank.end()
    return [*words, Token(token.text[start:], token.start + start, token.end)]


def quoted_words(token: Token, escape: str) -> list[Token]:
    """Split at blanks outside quotes; quotes and escapes stay in the words. An escape at the very end is dropped."""
    words: list[Token] = []
    text, at = token.text, 0
    while at < len(text):
        if is_space(text[at]):
            at += 1
            continue
        end = _word_end(text, at, escape)
        word = text[at:end]
        if end == len(text) and _ends_in_escape(word, escape):
            word = word[:-1]
        if word:
            words.append(Token(word, token.start + at, token.start + end))
        at = end
    return words


def _word_end(text: str, at: int, escape: str) -> int:
    quote = ""
    while at < len(text):
        character = text[at]
        if not quote and is_space(character):
            return at
        if character == escape and quote != "'":
            at += 1
        elif character == quote:
            quote = ""
        elif not quote and character in "'\"":
            quote = character
        at += 1
    return len(text)


def _ends_in_escape(word: str, escape: str) -> bool:
    """Whether the last character is an escape that has nothing to escape."""
    quote, at = "", 0
    while at < len(word):
        character = word[at]
        if character == escape and quote != "'":
            if at + 1 == len(word):
                return True
            at += 1
        elif character == quote:
            quote = ""
        elif not quote and character in "'\"":
            quote = character
        at += 1
    return False


def _flags(text: str, at: int) -> tuple[list[Token], int]:
    """The words from `at` on that begin with ``--``, and where the arguments begin."""
    flags: list[Token] = []
    while True:
        while at < len(text) and is_space(text[at]):
            at += 1
        if not text.startswith("--", at):
            return flags, at
        end = at
        word = ""
        for end, characters in _unquoted(text, at):  # noqa: B007 - the last one is the end
            word += characters
        if word == "--":
            return flags, end
        flags.append(Token(word, at, end))
        at = end


def _unquoted(text: str, at: int) -> Iterator[tuple[int, str]]:
    """The characters of one word without its quotes and backslashes, each with the place behind it.

    The backslash counts here whatever the escape character of the file is, and in both kinds of quotes.
    """
    quote = ""
    while at < len(text) and (quote or not is_space(text[at])):
        character, kept = text[at], text[at]
        at += 1
        if character == quote:
            quote, kept = "", ""
        elif not quote and character in "'\"":
            quote, kept = character, ""
        elif character == "\\":
            kept = text[at : at + 1]
            at += len(kept)
        yield at, kept
