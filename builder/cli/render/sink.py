"""Where rendered text goes: one stream, many threads, no exceptions."""

from __future__ import annotations

import os
from typing import Protocol, TextIO

from builder.cli.redaction import Redactor
from builder.errors import Interrupted
from builder.progress import Event


class Renderer(Protocol):
    """A Progress with an end."""

    def emit(self, event: Event, /) -> None: ...

    def error(self, message: str, hint: str | None) -> None:
        """Show the error that ends the command; `message` may have several lines."""

    def close(self) -> None:
        """Write what is still to be said and leave the terminal as it was. May be called more than once."""


class Sink:
    """Writes redacted text to a stream; one that fails (a closed pipe, a full disk) is left alone from then on."""

    def __init__(self, stream: TextIO, redact: Redactor) -> None:
        self._stream = stream
        self._redact = redact
        self._broken = False

    def write(self, text: str) -> None:
        """Write `text` and flush it. Raises nothing but what a signal handler raises."""
        if self._broken or not text:
            return
        try:
            self._stream.write(_encodable(self._redact(text), self._stream))
            self._stream.flush()
        except Interrupted:
            raise
        except (OSError, ValueError):
            self._broken = True

    def redacted(self, text: str) -> str:
        return self._redact(text)

    @property
    def is_terminal(self) -> bool:
        try:
            return self._stream.isatty() and os.environ.get("TERM") != "dumb"
        except ValueError:
            return False

    @property
    def size(self) -> tuple[int, int]:
        """Columns and lines of the terminal, 80 and 24 if it does not say."""
        try:
            columns, lines = os.get_terminal_size(self._stream.fileno())
        except (OSError, ValueError, AttributeError):
            columns, lines = 0, 0
        return columns or 80, lines or 24


def _encodable(text: str, stream: TextIO) -> str:
    """`text` with what the stream's encoding lacks (and lone surrogates) replaced."""
    encoding = getattr(stream, "encoding", None) or "utf-8"
    return text.encode(encoding, "replace").decode(encoding, "replace")
