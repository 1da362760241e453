"""Which heredocs a line opens, and their bodies in the lines below it.

The Dockerfile reference, "Here-Documents". The words are found by the shell lexer, so a ``<<`` in quotes is none.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from builder.dockerfile.json_form import is_json_form
from builder.dockerfile.syntax import Heredoc
from builder.dockerfile.tokens import cut
from builder.dockerfile.words import WordError, raw_words, unquoted_words

_WORD = re.compile(r"(\d*)<<(-?)([^<]*)", re.DOTALL)
_HOLDERS = ("RUN", "COPY", "ADD")


def heredocs_of(text: str) -> list[Heredoc]:
    """The heredocs that the instruction `text` opens, in order, with their bodies still to be read."""
    if "<<" not in text or not _may_hold(text):
        return []
    try:
        words = raw_words(text, keep_escapes=True)
    except WordError:  # broken quotes: the shell that gets the line will say so
        return []
    return [found for word in words if (found := heredoc_of(word))]


def heredoc_of(word: str) -> Heredoc | None:
    """The heredoc that one word opens, or None if it opens none."""
    match = _WORD.fullmatch(word)
    if not match or not match[3]:
        return None
    try:
        names = unquoted_words(match[3])
        raw_names = raw_words(match[3], keep_escapes=False)
    except WordError:
        return None
    if len(names) != 1 or len(raw_names) != 1:
        return None
    return Heredoc(
        name=names[0],
        data="",
        expand=_quotes(names[0]) == _quotes(raw_names[0]),
        chomp=bool(match[2]),
        file_descriptor=int(match[1] or 0),
    )


def read_bodies(heredocs: Sequence[Heredoc], lines: Sequence[str], start: int) -> tuple[list[Heredoc], int]:
    """Take the bodies from `lines` (with their line ends), from index `start` on.

    Returns the heredocs that were closed, and the index of the line behind the last delimiter; fewer heredocs than
    were opened mean that the file ended first.
    """
    closed: list[Heredoc] = []
    for heredoc in heredocs:
        end = _end(heredoc, lines, start)
        if end is None:
            return closed, len(lines)
        closed.append(replace(heredoc, data="".join(lines[start:end])))
        start = end + 1
    return closed, start


def _end(heredoc: Heredoc, lines: Sequence[str], start: int) -> int | None:
    for index in range(start, len(lines)):
        line = lines[index].rstrip("\r\n")
        if (line.lstrip("\t") if heredoc.chomp else line) == heredoc.name:
            return index
    return None


def _may_hold(text: str) -> bool:
    parts = cut(text)
    if parts.keyword.text.upper() == "ONBUILD":
        parts = cut(parts.rest.text)
    return parts.keyword.text.upper() in _HOLDERS and not is_json_form(parts.rest.text)


def _quotes(text: str) -> int:
    return text.count("'") + text.count('"')
