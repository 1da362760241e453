"""Responses whose status and headers have to come in time, however few bytes arrive at once."""

from __future__ import annotations

import http.client
import io
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

LONGEST = 60.0
"""Seconds between a response's first byte and the end of its headers. The time before is the socket's timeout's."""


class PromptResponse(http.client.HTTPResponse):
    """A response that fails with TimeoutError if its headers come drop by drop."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._timed = _TimedStream(self.fp.detach())
        self.fp = io.BufferedReader(self._timed)

    def begin(self) -> None:
        super().begin()
        self._timed.relax()


class _TimedStream(io.RawIOBase):
    """The bytes of a socket, for a bounded time after the first of them."""

    def __init__(self, inner: io.RawIOBase, clock: Callable[[], float] = time.monotonic) -> None:
        self._inner, self._clock = inner, clock
        self._deadline: float | None = None
        self._relaxed = False

    def relax(self) -> None:
        """What comes from now on may take its time."""
        self._relaxed = True

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int | None:
        count = self._inner.readinto(buffer)
        if not self._relaxed:
            self._deadline = self._deadline or self._clock() + LONGEST
            if self._clock() > self._deadline:
                raise TimeoutError("the headers did not come in time")
        return count

    def close(self) -> None:
        self._inner.close()
        super().close()
