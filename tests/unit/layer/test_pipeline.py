"""Channels, stages and reading ahead: errors on either side wake the other, and no thread stays."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator

import pytest

from builder.layer.pipeline import Channel, ChannelClosed, ReadAhead, Stage

pytestmark = pytest.mark.timeout(30)


@pytest.fixture(autouse=True)
def _no_thread_stays() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    assert set(threading.enumerate()) <= before


def test_chunks_come_out_as_they_went_in() -> None:
    stage = Stage("test", lambda channel: b"".join(channel), capacity=2)
    for number in range(100):
        stage.channel.put(b"%d," % number)
    stage.channel.close()
    assert stage.join() == b"".join(b"%d," % number for number in range(100))


def test_a_stage_that_fails_wakes_the_writer_and_gives_its_error() -> None:
    def work(channel: Channel) -> None:
        next(iter(channel))
        raise OSError("disk full")

    stage = Stage("test", work, capacity=1)
    with pytest.raises(ChannelClosed):
        for _ in range(100):
            stage.channel.put(b"x")
    with pytest.raises(OSError, match="disk full"):
        stage.join()


def test_a_writer_that_fails_wakes_the_stage() -> None:
    stage = Stage("test", lambda channel: list(channel))
    stage.channel.put(b"x")
    stage.channel.fail(ValueError("the writer's"))
    with pytest.raises(ValueError, match="the writer's"):
        stage.join()


def test_the_first_error_counts() -> None:
    channel = Channel()
    channel.fail(ValueError("first"))
    channel.fail(ValueError("second"))
    with pytest.raises(ValueError, match="first"):
        list(channel)


def test_a_stage_unwraps_the_error_of_the_next_one() -> None:
    def last(channel: Channel) -> None:
        next(iter(channel))
        raise OSError("disk full")

    final = Stage("final", last, capacity=1)

    def middle(channel: Channel) -> None:
        for chunk in channel:
            final.channel.put(chunk)

    first = Stage("first", middle, capacity=1)
    with pytest.raises(ChannelClosed):
        for _ in range(100):
            first.channel.put(b"x")
    for stage in (first, final):
        with pytest.raises(OSError, match="disk full"):
            stage.join()


@pytest.mark.parametrize("chunk", [1, 3, 1000])
@pytest.mark.parametrize("size", [1, 7, 5000])
def test_reading_ahead(chunk: int, size: int) -> None:
    data = bytes(range(256)) * 2
    ahead = ReadAhead(io.BytesIO(data), chunk=chunk, capacity=2)
    assert b"".join(iter(lambda: ahead.read(size), b"")) == data
    assert ahead.read(size) == b""
    ahead.close()


def test_reading_the_rest_at_once() -> None:
    ahead = ReadAhead(io.BytesIO(b"abcdef"), chunk=4)
    assert (ahead.read(1), ahead.read(), ahead.read()) == (b"a", b"bcdef", b"")
    ahead.close()


def test_closing_early_lets_go_of_the_stream() -> None:
    ahead = ReadAhead(io.BytesIO(bytes(1 << 20)), chunk=10, capacity=2)
    assert ahead.read(3) == bytes(3)
    ahead.close()
    ahead.close()


def test_an_error_below_comes_out_of_read_after_what_was_read_before_it() -> None:
    class Breaking:
        def __init__(self) -> None:
            self.reads = 0

        def read(self, size: int = -1, /) -> bytes:
            self.reads += 1
            if self.reads > 2:
                raise OSError("connection lost")
            return b"x"

    ahead = ReadAhead(Breaking(), capacity=10)
    with pytest.raises(OSError, match="connection lost"):
        for _ in range(4):
            ahead.read(1)
    ahead.close()
