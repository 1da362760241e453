"""Errors of a Dockerfile: where they are, and how that is shown."""

from __future__ import annotations

from collections.abc import Iterable

from builder.dockerfile.syntax import Instruction, Location
from builder.errors import BuilderError

_WIDTH = 120


class DockerfileError(BuilderError):
    """Something in a Dockerfile that is not right, with its place.

    `message` holds the whole rendering: place and reason, the line, and carets under the offending text.

    Args:
        reason: what is wrong, one sentence.
        path: the file's name as the user gave it.
        line: from 1.
        column: from 1, in characters.
        text: the line as the file has it, or the logical line where the physical one is not known; "" if there is none.
        length: how many characters the carets cover.
        hint: what to do about it.
    """

    def __init__(
        self,
        reason: str,
        *,
        path: str,
        line: int,
        column: int = 1,
        text: str = "",
        length: int = 1,
        hint: str | None = None,
    ) -> None:
        super().__init__(f"{path}:{line}:{column}: {reason}" + _excerpt(text, column - 1, length), hint=hint)
        self.reason = reason
        self.path = path
        self.line = line
        self.column = column
        self.text = text

    @classmethod
    def at(cls, instruction: Instruction, reason: str, fragment: str = "", hint: str | None = None) -> DockerfileError:
        """An error in an instruction that was already parsed; the carets are under `fragment`, where it is found."""
        found = instruction.text.find(fragment) if fragment else -1
        marked = fragment if found >= 0 else instruction.text.partition(" ")[0]
        return cls(
            reason,
            path=instruction.location.path,
            line=instruction.location.line,
            column=max(found, 0) + 1,
            text=instruction.text,
            length=len(marked),
            hint=hint,
        )

    @classmethod
    def in_file(cls, location: Location, reason: str, hint: str | None = None) -> DockerfileError:
        """An error of the file as a whole, or of a place without text."""
        return cls(reason, path=location.path, line=location.line, hint=hint)


def _excerpt(text: str, start: int, length: int) -> str:
    if not text:
        return ""
    shown = "".join(one if one.isprintable() else " " if one.isspace() else "?" for one in text)
    length = max(1, min(length, len(shown) - start, _WIDTH // 2))
    if len(shown) > _WIDTH:
        first = max(0, min(start - _WIDTH // 3, len(shown) - _WIDTH))
        shown, start = shown[first : first + _WIDTH], start - first
    return f"\n  {shown.rstrip()}\n  {' ' * start}{'^' * length}"


def nearest(word: str, options: Iterable[str], *, fold: bool = True) -> str | None:
    """The option that `word` is most likely a misspelling of, or None; `fold` ignores case in the comparison."""
    import difflib

    by_key = {(option.lower() if fold else option): option for option in options}
    close = difflib.get_close_matches(word.lower() if fold else word, by_key, n=1, cutoff=0.6)
    return by_key[close[0]] if close else None


def did_you_mean(word: str, options: Iterable[str]) -> str | None:
    """A hint with the nearest option, or None if none is near."""
    found = nearest(word, options)
    return f"did you mean {found}?" if found and found != word else None
