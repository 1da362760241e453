"""An instruction on its way from text to syntax: its parts, and errors that point at them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypedDict

from builder.dockerfile.errors import DockerfileError
from builder.dockerfile.json_form import NotStrings, json_strings
from builder.dockerfile.logical_line import LogicalLine
from builder.dockerfile.syntax import Command, Instruction, Location
from builder.dockerfile.tokens import Token, cut


class Place(TypedDict):
    """The fields that every instruction has."""

    location: Location
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """A logical line cut into keyword, flags and the rest; `keyword` is upper-case, `escape` the file's."""

    line: LogicalLine
    word: Token
    flags: tuple[Token, ...]
    rest: Token
    escape: str

    @classmethod
    def of(cls, line: LogicalLine, escape: str) -> Parts:
        word, flags, rest = cut(line.text)
        return cls(line=line, word=word, flags=flags, rest=rest, escape=escape)

    @property
    def keyword(self) -> str:
        return self.word.text.upper()

    @property
    def place(self) -> Place:
        return {"location": self.line.location, "text": self.line.text}

    def error(self, reason: str, at: Token | None = None, hint: str | None = None) -> DockerfileError:
        """An error that points at a token, or at the instruction's name."""
        token = at or self.word
        return self.line.error(reason, token.start, max(token.end, token.start + 1), hint)

    def strings(self) -> tuple[str, ...] | None:
        """The arguments in JSON form, or None if they are not in it."""
        try:
            return json_strings(self.rest.text)
        except NotStrings:
            raise self.error(
                f"the JSON form of {self.keyword} takes strings only",
                self.rest,
                "put every element in double quotes",
            ) from None

    def command(self) -> Command:
        """The arguments as a command line."""
        strings = self.strings()
        return Command(words=(self.rest.text,), shell=True) if strings is None else Command(words=strings, shell=False)


Parser = Callable[[Parts], Instruction]
