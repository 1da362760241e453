"""Threads that hand chunks on to one another, such that the failure of any of them ends them all.

Compression, hashing and file writing release the interpreter's lock, so each gets a thread of its own.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from typing import Self

from builder.digest import Readable


class ChannelClosed(Exception):
    """The other end of a channel has gone; its own error is the one that counts."""


class Channel:
    """A bounded queue of chunks between two threads.

    A writer ends it by `close`, either side gives up by `fail`; whoever waits then wakes: `put` raises ChannelClosed,
    iteration raises the error itself.
    """

    def __init__(self, capacity: int = 4) -> None:
        self._items: deque[bytes] = deque()
        self._capacity = capacity
        self._changed = threading.Condition()
        self._closed = False
        self._error: BaseException | None = None

    def put(self, item: bytes) -> None:
        with self._changed:
            while len(self._items) >= self._capacity and self._error is None:
                self._changed.wait()
            if self._error is not None:
                raise ChannelClosed from self._error
            self._items.append(item)
            self._changed.notify_all()

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def fail(self, error: BaseException) -> None:
        with self._changed:
            self._error = self._error or error
            self._changed.notify_all()

    def __iter__(self) -> Iterator[bytes]:
        while (item := self._get()) is not None:
            yield item

    def _get(self) -> bytes | None:
        with self._changed:
            while not self._items and not self._closed and self._error is None:
                self._changed.wait()
            if self._error is not None:
                raise self._error
            item = self._items.popleft() if self._items else None
            self._changed.notify_all()
            return item


class Stage:
    """A thread that takes chunks from a channel until it ends; `join` gives its result or raises its error."""

    def __init__(self, name: str, work: Callable[[Channel], object], capacity: int = 4) -> None:
        self.channel = Channel(capacity)
        self._work = work
        self._result: object = None
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._result = self._work(self.channel)
        except BaseException as error:
            self._error = error
            self.channel.fail(error)

    def join(self) -> object:
        """Wait for the end of the work. Raises the error that ended it, the first of the pipeline's."""
        self._thread.join()
        error = self._error
        while isinstance(error, ChannelClosed) and error.__cause__ is not None:
            error = error.__cause__
        if error is not None:
            raise error
        return self._result


class ReadAhead:
    """Reads a stream in a thread of its own, some chunks ahead, so that its work overlaps with the reader's.

    The stream below is read to its end unless `close` comes first; a ``with`` block closes. Errors come out of `read`.
    """

    def __init__(self, stream: Readable, *, chunk: int = 1 << 20, capacity: int = 4) -> None:
        self._channel = Channel(capacity)
        self._chunk = chunk
        self._rest = b""
        self._chunks = iter(self._channel)
        self._thread = threading.Thread(target=self._fill, args=(stream,), name="read-ahead", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _fill(self, stream: Readable) -> None:
        try:
            while chunk := stream.read(self._chunk):
                self._channel.put(chunk)
            self._channel.close()
        except ChannelClosed:
            return
        except BaseException as error:
            self._channel.fail(error)

    def read(self, size: int = -1, /) -> bytes:
        if size < 0:
            rest, self._rest = self._rest, b""
            return rest + b"".join(self._chunks)
        if not self._rest:
            self._rest = next(self._chunks, b"")
        if size >= len(self._rest):
            chunk, self._rest = self._rest, b""
            return chunk
        chunk, self._rest = self._rest[:size], self._rest[size:]
        return chunk

    def close(self) -> None:
        """Stop reading and wait until the thread has let go of the stream. Idempotent."""
        self._channel.fail(ChannelClosed())
        self._thread.join()
