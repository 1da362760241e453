"""One instruction's text on one line, which still knows where in the file each of its characters is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from builder.dockerfile.errors import DockerfileError
from builder.dockerfile.syntax import Heredoc, Location
from builder.dockerfile.whitespace import WHITESPACE


class Piece(NamedTuple):
    """What a physical line gives: the part that is joined, its number from 1, and all of it; and where it comes to lie.

    `offset` is the place in the logical line of the physical line's first character; it may be negative.
    """

    text: str
    number: int
    whole: str
    offset: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class LogicalLine:
    """An instruction's text and where it comes from.

    Attributes:
        text: without blanks around it; empty only where nothing but an escape was there.
        heredocs: those that it opens, with their bodies.
        comments: the comment lines right above it.
    """

    text: str
    location: Location
    pieces: tuple[Piece, ...]
    heredocs: tuple[Heredoc, ...] = ()
    comments: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        pieces: Sequence[Piece],
        location: Location,
        heredocs: tuple[Heredoc, ...] = (),
        comments: tuple[str, ...] = (),
    ) -> LogicalLine:
        """Join the pieces."""
        joined = "".join(piece.text for piece in pieces)
        offset = len(joined.lstrip(WHITESPACE)) - len(joined)
        placed = []
        for piece in pieces:
            placed.append(piece._replace(offset=offset))
            offset += len(piece.text)
        return cls(
            text=joined.strip(WHITESPACE),
            location=location,
            pieces=tuple(placed),
            heredocs=heredocs,
            comments=comments,
        )

    def tail(self, start: int) -> LogicalLine:
        """The line from a place in its text on, as a line of its own."""
        pieces = tuple(piece._replace(offset=piece.offset - start) for piece in self.pieces)
        return replace(self, text=self.text[start:], pieces=pieces)

    def error(self, reason: str, start: int, end: int, hint: str | None = None) -> DockerfileError:
        """An error about the characters from `start` to `end` of the text."""
        piece = next((piece for piece in reversed(self.pieces) if piece.offset <= start), self.pieces[0])
        return DockerfileError(
            reason,
            path=self.location.path,
            line=piece.number,
            column=max(0, min(start - piece.offset, len(piece.whole))) + 1,
            text=piece.whole,
            length=min(end, piece.offset + len(piece.text)) - start,
            hint=hint,
        )
