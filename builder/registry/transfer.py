"""Telling how far a transfer is, while its bytes pass."""

from __future__ import annotations

import time
from typing import Literal

from builder.digest import Digest, Readable
from builder.progress import Progress, Transfer

_SECONDS_BETWEEN_EVENTS = 0.2


class Transferred:
    """Emits the Transfer events of one blob."""

    def __init__(self, progress: Progress, action: Literal["pull", "push"], digest: Digest, total: int) -> None:
        self._progress, self._action, self._total = progress, action, total
        self._what = f"{digest.algorithm}:{digest.hex[:12]}"
        self._done, self._told = 0, time.monotonic()
        self._emit(0)

    def through(self, stream: Readable, start: int = 0) -> Readable:
        """The same stream; what is read from it is counted, from `start` bytes."""
        self._done = start
        return _Counted(stream, self)

    def add(self, size: int) -> None:
        self._done += size
        now = time.monotonic()
        if now - self._told >= _SECONDS_BETWEEN_EVENTS and self._done < self._total:
            self._told = now
            self._emit(self._done)

    @property
    def complete(self) -> bool:
        """True if as many bytes have passed as there should be."""
        return self._done >= self._total

    def finish(self, note: str = "") -> None:
        """All of it is there; `note` says how the transfer was avoided, if it was."""
        self._emit(self._total, note)

    def _emit(self, done: int, note: str = "") -> None:
        self._progress.emit(Transfer(self._action, self._what, done, self._total, note))


class _Counted:
    def __init__(self, stream: Readable, transferred: Transferred) -> None:
        self._stream, self._transferred = stream, transferred

    def read(self, size: int = -1, /) -> bytes:
        chunk = self._stream.read(size)
        self._transferred.add(len(chunk))
        return chunk
