"""The renderer for a terminal: finished steps scroll up, running ones are redrawn below with time and last output."""

from __future__ import annotations

import threading
import time
import unicodedata
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from builder.cli.options import Verbosity
from builder.cli.render import wording
from builder.cli.render.levels import shows
from builder.cli.render.plain import Style
from builder.cli.render.sink import Sink
from builder.cli.render.traffic import Traffic
from builder.progress import Event, Level, Message, Step, StepFinished, StepOutput, StepStarted, Transfer

_KEPT = 200
"""Lines of output kept of each running step, shown if it fails."""

_SHOWN = 5
"""Lines of output shown of each running step."""

_REDRAW = 0.1
"""Seconds between two redraws, at least."""


@dataclass(slots=True)
class _Running:
    step: Step
    started: float
    output: deque[bytes] = field(default_factory=lambda: deque(maxlen=_KEPT))


class TerminalRenderer:
    """Draws on a terminal. A thread of its own redraws the running times twice a second until `close`.

    It starts with the first step or transfer: messages come earlier, when there must be no thread yet.
    """

    def __init__(
        self, sink: Sink, verbosity: Verbosity, style: Style, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._sink, self._verbosity, self._style, self._clock = sink, verbosity, style, clock
        self._lock = threading.RLock()
        self._running: dict[int, _Running] = {}
        self._traffic = Traffic()
        self._drawn = 0
        self._drawn_at = float("-inf")
        self._closed = threading.Event()
        self._ticker: threading.Thread | None = None

    def emit(self, event: Event, /) -> None:
        with self._lock:
            if not isinstance(event, Message):
                self._start_ticker()
            match event:
                case StepStarted(step):
                    self._print(self._traffic_lines())
                    self._running[step.id] = _Running(step, self._clock())
                case StepOutput():
                    self._output(event)
                case StepFinished():
                    self._finished(event)
                case Message(level, text, step):
                    self._message(level, text, step)
                case Transfer():
                    self._traffic.add(event, self._clock())
            self._draw()

    def error(self, message: str, hint: str | None) -> None:
        with self._lock:
            self.close()
            lines = [self._style.paint("error", "error:") + " " + message]
            self._print(lines + ([self._style.paint("hint", "hint:") + " " + hint] if hint else []))

    def close(self) -> None:
        with self._lock:
            if self._closed.is_set():
                return
            self._closed.set()
            lines = self._traffic_lines()
            self._running.clear()
            self._print(lines)

    def _start_ticker(self) -> None:
        if self._ticker is None and not self._closed.is_set():
            self._ticker = threading.Thread(target=self._tick, name="progress", daemon=True)
            self._ticker.start()

    def _tick(self) -> None:
        while not self._closed.wait(0.5):
            with self._lock:
                self._draw()

    def _output(self, event: StepOutput) -> None:
        running = self._running.setdefault(event.step.id, _Running(event.step, self._clock()))
        running.output.append(event.line)

    def _finished(self, event: StepFinished) -> None:
        running = self._running.pop(event.step.id, None)
        lines = [f"{wording.header(event.step)} {self._style.paint(event.outcome, wording.ending(event))}"]
        if event.outcome == "failed" and running:
            lines += [f"  | {wording.printable(line)}" for line in running.output]
        self._print(lines if shows(self._verbosity, "info") or event.outcome == "failed" else [])

    def _message(self, level: Level, text: str, step: Step | None) -> None:
        if shows(self._verbosity, level):
            start = wording.label(step) + " " if step else ""
            start += self._style.paint(level, f"{level}:") + " " if level != "info" else ""
            self._print(self._traffic_lines() + [start + line for line in text.split("\n")])

    def _traffic_lines(self) -> list[str]:
        lines = self._traffic.finished(self._clock())
        return lines if shows(self._verbosity, "info") else []

    def _print(self, lines: list[str]) -> None:
        """Write lines that stay, where the running steps were; those come back with the next drawing."""
        if lines or self._drawn:
            stamp = self._style.stamp()
            self._sink.write(self._erase() + "".join(f"{stamp}{line}\n" for line in lines))
            self._drawn_at = float("-inf")

    def _draw(self) -> None:
        now = self._clock()
        if self._closed.is_set() or now - self._drawn_at < _REDRAW:
            return
        lines = self._live_lines(now)
        self._sink.write(self._erase() + "".join(f"{line}\n" for line in lines))
        self._drawn, self._drawn_at = len(lines), now

    def _erase(self) -> str:
        """What moves up over the drawn lines and clears them."""
        drawn, self._drawn = self._drawn, 0
        return f"\x1b[{drawn}A\x1b[J" if drawn else ""

    def _live_lines(self, now: float) -> list[str]:
        columns, rows = self._sink.size
        lines = []
        for running in self._running.values():
            elapsed = " " + wording.seconds(now - running.started)
            lines.append(_cut(wording.header(running.step), columns - 1 - len(elapsed)) + elapsed)
            shown = list(running.output)[-_SHOWN:] if shows(self._verbosity, "info") else []
            lines += [_cut(f"  | {self._sink.redacted(wording.printable(line))}", columns - 1) for line in shown]
        lines += [_cut(line, columns - 1) for line in self._traffic.running()]
        return lines[-max(rows - 1, 1) :]


def _cut(text: str, columns: int) -> str:
    """`text`, shortened to this many columns of a terminal."""
    if text.isascii():
        return text if len(text) <= columns else text[: max(columns - 3, 0)] + "..."
    used = 0
    for index, character in enumerate(text):
        used += 2 if unicodedata.east_asian_width(character) in "WF" else not unicodedata.combining(character)
        if used > columns:
            return text[: max(index - 3, 0)] + "..."
    return text
