"""What a build tells while it goes on: events, and the protocol of who takes them.

Every part of the builder gets a `Progress` and emits events; the renderers in `cli/` draw them. `emit` may be called
from any thread, never blocks for long and never raises.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Literal, Protocol

Work = Literal["pull", "unpack", "run", "snapshot", "compress", "push"]
Level = Literal["trace", "debug", "info", "warning", "error"]
Outcome = Literal["done", "cached", "failed", "skipped"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One instruction of one stage, as people know it.

    Attributes:
        id: unique within the build.
        name: ``[build 2/5]``-like position, BuildKit's wording: stage name (if any), number, count.
        text: the instruction as the Dockerfile has it, continuation lines joined; no secret is in it.
        line: its first line in the Dockerfile, from 1.
    """

    id: int
    name: str
    text: str
    line: int


@dataclass(frozen=True, slots=True)
class StepStarted:
    step: Step


@dataclass(frozen=True, slots=True)
class StepOutput:
    """One line that the command of a step wrote, without its newline; `stream` is 1 or 2."""

    step: Step
    stream: int
    line: bytes


@dataclass(frozen=True, slots=True)
class StepFinished:
    """`detail` says what a reader wants to know besides, e.g. where a cached layer came from."""

    step: Step
    outcome: Outcome
    seconds: float
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Message:
    """A line of the builder's own; `step` if it belongs to one."""

    level: Level
    text: str
    step: Step | None = None


@dataclass(frozen=True, slots=True)
class Transfer:
    """A blob or manifest on its way. Emitted at the start (done=0), now and then, and at the end (done=total).

    Attributes:
        action: what happens to it.
        what: short name for people, e.g. ``sha256:0123456789ab`` or the reference.
        done: bytes so far.
        total: bytes in all, None if not known.
        note: at the end, how it was avoided (``exists``, ``mounted from other/repo``), else "".
    """

    action: Literal["pull", "push", "unpack"]
    what: str
    done: int
    total: int | None
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """Work that has ended, emitted by the thread that did it; pulls and pushes are known by their Transfers.

    Attributes:
        what: short, for people: ``sha256:0123456789ab``; "" where the step says it all.
        started, ended: seconds of `time.monotonic`.
        step: the instruction that it was done for, if it was for one.
    """

    work: Work
    what: str
    started: float
    ended: float
    step: Step | None


Event = StepStarted | StepOutput | StepFinished | Message | Transfer | Span

current_step: ContextVar[Step | None] = ContextVar("current_step", default=None)
"""The step that this thread is at work for. Who hands work to another thread hands on the step."""


class Progress(Protocol):
    """Takes the events of a build. Thread-safe; never raises."""

    def emit(self, event: Event, /) -> None: ...


class Silent:
    """A Progress that drops everything."""

    def emit(self, event: Event, /) -> None:
        return


class Recorded:
    """A Progress that keeps everything in `events`, for tests."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def emit(self, event: Event, /) -> None:
        self.events.append(event)


def log(progress: Progress, level: Level, text: str, step: Step | None = None) -> None:
    """Emit a Message."""
    progress.emit(Message(level, text, step))


@contextmanager
def working(progress: Progress, work: Work, what: str = "", step: Step | None = None) -> Iterator[None]:
    """Emit the Span of a block, however it ends; `step` if it is another than the thread's current one."""
    started = time.monotonic()
    try:
        yield
    finally:
        ended = time.monotonic()
        progress.emit(Span(work=work, what=what, started=started, ended=ended, step=step or current_step.get()))
