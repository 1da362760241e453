"""The renderer for logs: one line after another, each with the name of its step."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from builder.cli.options import Verbosity
from builder.cli.render import wording
from builder.cli.render.levels import shows
from builder.cli.render.sink import Sink
from builder.cli.render.traffic import Traffic
from builder.progress import Event, Level, Message, Step, StepFinished, StepOutput, StepStarted, Transfer

_TAIL = 40
"""Lines of output kept of each step while they are not shown, for when it fails."""

_CODES = {"header": "1;36", "done": "32", "cached": "32", "skipped": "2", "failed": "1;31", "name": "36",
          "error": "1;31", "warning": "33", "debug": "2", "trace": "2", "hint": "33"}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Style:
    """How lines look. `now` gives the time of day in seconds since the epoch."""

    color: bool = False
    timestamps: bool = False
    now: Callable[[], float] = time.time

    def paint(self, code: str, text: str) -> str:
        return f"\x1b[{_CODES[code]}m{text}\x1b[0m" if self.color else text

    def stamp(self) -> str:
        """What a line begins with: RFC 3339 in UTC and a space, or nothing."""
        return time.strftime("%Y-%m-%dT%H:%M:%SZ ", time.gmtime(self.now())) if self.timestamps else ""


class PlainRenderer:
    """Text or coloured lines. `clock` gives seconds, for durations."""

    def __init__(
        self, sink: Sink, verbosity: Verbosity, style: Style, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._sink, self._verbosity, self._style, self._clock = sink, verbosity, style, clock
        self._lock = threading.RLock()
        self._traffic = Traffic()
        self._tails: dict[int, deque[bytes]] = {}

    def emit(self, event: Event, /) -> None:
        with self._lock:
            match event:
                case StepStarted(step):
                    self._info(self._style.paint("header", wording.header(step)))
                case StepOutput():
                    self._output(event)
                case StepFinished():
                    self._finished(event)
                case Message(level, text, step):
                    self._message(level, text, step)
                case Transfer():
                    self._transfer(event)

    def error(self, message: str, hint: str | None) -> None:
        with self._lock:
            self._summaries()
            first, *rest = message.split("\n")
            self._lines([self._style.paint("error", "error:") + " " + first, *rest])
            if hint:
                first, *rest = hint.split("\n")
                self._lines([self._style.paint("hint", "hint:") + " " + first, *rest])

    def close(self) -> None:
        with self._lock:
            self._summaries()

    def _output(self, event: StepOutput) -> None:
        if shows(self._verbosity, "info"):
            self._info(self._output_line(event.step, event.line))
        else:
            self._tails.setdefault(event.step.id, deque(maxlen=_TAIL)).append(event.line)

    def _output_line(self, step: Step, line: bytes) -> str:
        text = line.decode("utf-8", "replace").rstrip("\r")
        return f"{self._style.paint('name', wording.label(step))} | {text}"

    def _finished(self, event: StepFinished) -> None:
        tail = self._tails.pop(event.step.id, deque())
        if event.outcome == "failed":
            self._lines([self._output_line(event.step, line) for line in tail])
        text = self._style.paint(event.outcome, wording.ending(event))
        self._info(f"{self._style.paint('name', wording.label(event.step))} {text}")

    def _message(self, level: Level, text: str, step: Step | None) -> None:
        if not shows(self._verbosity, level):
            return
        self._summaries()
        start = wording.label(step) + " " if step else ""
        if level != "info":
            start += self._style.paint(level, f"{level}:") + " "
        self._lines([start + line for line in text.split("\n")])

    def _transfer(self, event: Transfer) -> None:
        line = self._traffic.add(event, self._clock())
        ended = event.note or event.done == event.total
        if shows(self._verbosity, "debug") and ended:
            self._lines([self._style.paint("debug", wording.transfer(event))])
        elif line and shows(self._verbosity, "info"):
            self._lines([line])

    def _info(self, line: str) -> None:
        if shows(self._verbosity, "info"):
            self._summaries()
            self._lines([line])

    def _summaries(self) -> None:
        lines = self._traffic.finished(self._clock())
        if shows(self._verbosity, "info"):
            self._lines(lines)

    def _lines(self, lines: list[str]) -> None:
        stamp = self._style.stamp()
        self._sink.write("".join(f"{stamp}{line}\n" for line in lines))
