"""Cuts a stream of bytes into lines."""

from __future__ import annotations

from collections.abc import Iterator

LONGEST = 64 * 1024


class Lines:
    """The lines of one stream, without their newlines, as chunks of it come; longer ones than LONGEST in pieces."""

    def __init__(self) -> None:
        self._pending = b""

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """The lines that end in `chunk`."""
        *complete, pending = (self._pending + chunk).split(b"\n")
        self._pending = b""
        for line in complete:
            yield from _pieces(line)
        while len(pending) > LONGEST:
            yield pending[:LONGEST]
            pending = pending[LONGEST:]
        self._pending = pending

    def end(self) -> Iterator[bytes]:
        """The last line, if it has no newline."""
        if self._pending:
            yield self._pending
        self._pending = b""


def _pieces(line: bytes) -> Iterator[bytes]:
    yield line[:LONGEST]
    for start in range(LONGEST, len(line), LONGEST):
        yield line[start : start + LONGEST]
