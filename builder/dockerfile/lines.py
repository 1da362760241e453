"""Physical lines of a Dockerfile to logical ones: an instruction each, continuations joined, heredocs attached.

dockerfile-parse groups the lines. It gets some of them wrong, so it is given a text in which these cannot appear:

- it knows no heredocs: their bodies are lifted out first;
- a blank line ends a continued instruction for it (Docker skips the line): it is given a comment instead;
- an escaped escape at the end of a line (``\\\\``) continues the line for it, and an escape at the end of the file
  makes it forget the instruction: it is given such a line with a full stop behind;
- it sees ``# escape=`` only above or right below ``# syntax=``: it is given one in front, and none where it was.

It drops lines that it cannot split without a word, so what it returns is compared with what is there. The text of an
instruction is joined from the lines of the file, not taken from it, because it does not keep all of their blanks.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from builder.dockerfile.directives import read_directives
from builder.dockerfile.errors import DockerfileError
from builder.dockerfile.heredocs import heredocs_of, read_bodies
from builder.dockerfile.logical_line import LogicalLine, Piece
from builder.dockerfile.syntax import Heredoc, Location, Warning_
from builder.dockerfile.whitespace import WHITESPACE

_NOTHING = "#"
"""What dockerfile-parse is given for a line that belongs to no instruction."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A Dockerfile as directives and logical lines."""

    directives: Mapping[str, str]
    escape: str
    lines: tuple[LogicalLine, ...]
    warnings: tuple[Warning_, ...]


def read_source(text: str, path: str, escape: str = "\\") -> Source:
    """Cut a Dockerfile into logical lines; `escape` counts where no directive names one. Raises DockerfileError."""
    physical = _physical(text)
    directives = read_directives(physical, path)
    escape = directives.get("escape", escape)
    prepared = _Prepared(physical, path, escape, top=len(directives))
    return Source(
        directives=directives,
        escape=escape,
        lines=tuple(_logical_lines(prepared, physical, path)),
        warnings=tuple(prepared.warnings),
    )


def _physical(text: str) -> list[str]:
    """Lines with their ends; only a line feed ends one."""
    lines = text.removeprefix("\ufeff").split("\n")
    return [f"{line}\n" for line in lines[:-1]] + ([lines[-1]] if lines[-1] else [])


class _Prepared:
    """The text for dockerfile-parse, line by line the original's, and what was found while it was made.

    Attributes:
        lines: one for one the lines of the file.
        warnings: the blank lines within instructions, one for each instruction.
        bodies: the heredocs of the instruction that begins at that index, and the index of its last line.
    """

    def __init__(self, physical: Sequence[str], path: str, escape: str, *, top: int) -> None:
        self._physical, self._path, self._top = physical, path, top
        self.continuation = Continuation(escape)
        self.lines = [_NOTHING] * len(physical)
        self.bodies: dict[int, tuple[list[Heredoc], int]] = {}
        self.warnings: list[Warning_] = []
        index = 0
        while index < len(physical):
            index = index + 1 if _is_nothing(physical[index]) else self._instruction(index)

    def _instruction(self, start: int) -> int:
        """Prepare the lines of one instruction; returns the index behind it."""
        content, blank = [], None
        for index in range(start, len(self._physical)):
            line = self._physical[index].rstrip("\r\n")
            if not _is_nothing(line):
                content.append(index)
                self.lines[index] = line
                if not self.continuation.is_continued(line):
                    break
            elif not _is_comment(line):
                blank = index if blank is None else blank
        if self.continuation.looks_continued(self.lines[content[-1]]):
            self.lines[content[-1]] += "."
        if blank is not None:
            self._warn(blank)
        return self._lift_heredocs(start, content)

    def _lift_heredocs(self, start: int, content: list[int]) -> int:
        end = content[-1] + 1
        if not any("<<" in self._physical[index] for index in content):
            return end
        line = self.join(start, content[-1], self._path)
        heredocs = heredocs_of(line.text)
        if not heredocs:
            return end
        closed, end = read_bodies(heredocs, self._physical, end)
        if len(closed) < len(heredocs):
            name = heredocs[len(closed)].name
            at = line.text.find("<<")
            raise line.error(f"unterminated heredoc: no line is {name!r}", at, at + 2 + len(name))
        self.bodies[start] = (closed, end - 1)
        return end

    def _warn(self, index: int) -> None:
        location = Location(path=self._path, line=index + 1, end_line=index + 1)
        self.warnings.append(Warning_(name="NoEmptyContinuation", location=location, message="Empty continuation line"))

    def join(self, start: int, end: int, path: str) -> LogicalLine:
        """The logical line of the physical lines from `start` to `end`."""
        pieces = []
        for index in range(start, end + 1):
            line = self._physical[index].rstrip("\r\n")
            if self.lines[index] != _NOTHING:
                pieces.append(Piece(self.continuation.without_escape(line), index + 1, line))
        heredocs, last = self.bodies.get(start, ([], end))
        location = Location(path=path, line=start + 1, end_line=last + 1)
        return LogicalLine.of(pieces, location, tuple(heredocs), self._comments_above(start))

    def _comments_above(self, start: int) -> tuple[str, ...]:
        comments: list[str] = []
        for index in range(start - 1, self._top - 1, -1):
            line = self._physical[index].strip(WHITESPACE)
            if self.lines[index] != _NOTHING or not line.startswith("#") or line == "#":
                break
            comments.insert(0, line[1:].strip(WHITESPACE))
        return tuple(comments)


def _logical_lines(prepared: _Prepared, physical: Sequence[str], path: str) -> Iterator[LogicalLine]:
    lost = {index for index, line in enumerate(prepared.lines) if line != _NOTHING}
    for start, end in _groups(prepared):
        lost.difference_update(range(start, end + 1))
        line = prepared.join(start, end, path)
        if line.text:
            yield line
    for index in sorted(lost):
        text = physical[index].rstrip("\r\n")
        raise DockerfileError("this line is no instruction", path=path, line=index + 1, text=text, length=len(text))


def _groups(prepared: _Prepared) -> Iterator[tuple[int, int]]:
    """First and last index of each instruction, as dockerfile-parse sees them."""
    from dockerfile_parse import DockerfileParser

    text = "".join(f"{line}\n" for line in (f"# escape={prepared.continuation.escape}", *prepared.lines))
    # Given a file object it reads that, and neither looks for a Dockerfile nor writes one.
    parser = DockerfileParser(fileobj=io.BytesIO(text.encode("utf-8", "replace")), env_replace=False)
    for entry in parser.structure:
        if not _is_comment(entry["content"]):
            yield entry["startline"] - 1, entry["endline"] - 1


class Continuation:
    """When a line goes on in the next one: an escape at its end, blanks aside, that is not itself escaped."""

    def __init__(self, escape: str) -> None:
        self.escape = escape
        character = re.escape(escape)
        self._continued = re.compile(rf"(?:^|[^{character}])({character})[ \t]*\Z")

    def is_continued(self, line: str) -> bool:
        return self._continued.search(line) is not None

    def looks_continued(self, line: str) -> bool:
        """Whether dockerfile-parse takes the line to be continued."""
        return line.rstrip().endswith(self.escape)

    def without_escape(self, line: str) -> str:
        match = self._continued.search(line)
        return line[: match.start(1)] if match else line


def _is_comment(line: str) -> bool:
    return line.lstrip(WHITESPACE).startswith("#")


def _is_nothing(line: str) -> bool:
    """Whether a line is blank or a comment."""
    return not line.strip(WHITESPACE) or _is_comment(line)
