"""Where the time of a build goes: notes what passes on its way to the renderer, for the summary and the trace."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

from builder.cli.redaction import Redactor
from builder.cli.render import wording
from builder.cli.render.sink import Renderer
from builder.progress import Event, Span, Step, StepFinished, StepStarted, Transfer, Work

WORKS: tuple[Work, ...] = get_args(Work)


@dataclass(frozen=True, slots=True, kw_only=True)
class Noted:
    """Something that took time.

    Attributes:
        kind: the work, or ``step``.
        started, ended: seconds of the clock.
        track: the thread that did it, or the place among the transfers that went on at the time.
        details: what else is known of it.
    """

    kind: str
    name: str
    started: float
    ended: float
    track: str
    details: Mapping[str, Any] = field(default_factory=dict)


class Profile:
    """A renderer that passes everything on to another one, and keeps when it was.

    Args:
        started: when the process began, in seconds of `clock`; by default as the kernel has it.
    """

    def __init__(
        self, renderer: Renderer, *, started: float | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._renderer, self._clock = renderer, clock
        self.started = clock() - _age() if started is None else started
        self.noted: list[Noted] = []
        self._lock = threading.Lock()
        self._steps: dict[int, float] = {}
        self._transfers: dict[tuple[str, str], tuple[float, int]] = {}

    def emit(self, event: Event, /) -> None:
        match event:
            case StepStarted(step):
                self._steps[step.id] = self._clock()
            case StepFinished():
                self._step(event)
            case Transfer(action="pull" | "push"):
                with self._lock:
                    self._transfer(event)
            case Span():
                self._note(event.work, event.what, event.started, event.ended, _of(event.step))
                return
        self._renderer.emit(event)

    def error(self, message: str, hint: str | None) -> None:
        self._renderer.error(message, hint)

    def close(self) -> None:
        self._renderer.close()

    def busy(self, kind: str) -> float | None:
        """Seconds in which work of this kind went on, in however many threads; None if there was none."""
        spans = [(noted.started, noted.ended) for noted in self.noted if noted.kind == kind]
        return _covered(spans) if spans else None

    def summary(self) -> str:
        """``pull 0.4s, unpack 1.2s, run 2.0s, snapshot 0.1s, compress 0.3s, push 0.5s, total 3.1s``.

        Much of it goes on at the same time, so the total is less than the sum; it begins with the process.
        """
        times = [f"{work} {wording.seconds(busy)}" for work in WORKS if (busy := self.busy(work)) is not None]
        return ", ".join([*times, f"total {wording.seconds(self._clock() - self.started)}"])

    def write(self, path: Path, redact: Redactor) -> None:
        """Write the trace. Raises StorageError."""
        import json

        from builder.cli.trace import chrome_trace
        from builder.storage.atomic import replacing
        from builder.storage.failure import explained

        trace = chrome_trace(self.noted, self.started, self._clock(), redact)
        with explained("write", path):
            path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as file:
            file.write(json.dumps(trace, separators=(",", ":")).encode())

    def _step(self, event: StepFinished) -> None:
        now = self._clock()
        started = self._steps.pop(event.step.id, now - event.seconds)
        details = {**_of(event.step), "outcome": event.outcome, "detail": event.detail}
        self._note("step", wording.header(event.step), started, now, details)

    def _transfer(self, event: Transfer) -> None:
        key = event.action, event.what
        if key not in self._transfers:
            self._transfers[key] = self._clock(), self._free_place(event.action)
        if not event.note and (event.total is None or event.done < event.total):
            return
        started, place = self._transfers.pop(key)
        details = {"bytes": 0 if event.note else event.done, "note": event.note}
        track = f"{event.action} {place}"
        self.noted.append(
            Noted(
                kind=event.action,
                name=event.what,
                started=started,
                ended=self._clock(),
                track=track,
                details=details,
            )
        )

    def _free_place(self, action: str) -> int:
        """The lowest number that no transfer of this kind has at the moment."""
        taken = {place for (other, _), (_, place) in self._transfers.items() if other == action}
        return next(place for place in range(1, len(taken) + 2) if place not in taken)

    def _note(self, kind: str, name: str, started: float, ended: float, details: Mapping[str, Any]) -> None:
        track = threading.current_thread().name
        noted = Noted(kind=kind, name=name, started=started, ended=ended, track=track, details=details)
        with self._lock:
            self.noted.append(noted)


def _of(step: Step | None) -> dict[str, Any]:
    return {"step": wording.header(step), "line": step.line} if step else {}


def _covered(spans: Iterable[tuple[float, float]]) -> float:
    """The length of the union of intervals."""
    total, reached = 0.0, float("-inf")
    for started, ended in sorted(spans):
        total += max(0.0, ended - max(started, reached))
        reached = max(reached, ended)
    return total


def _age() -> float:
    """Seconds since this process began (proc(5), ``starttime``); 0 where the kernel does not say."""
    try:
        with open("/proc/self/stat", encoding="ascii", errors="replace") as file:
            ticks = int(file.read().rpartition(")")[2].split()[19])
        return max(0.0, time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK"))
    except (OSError, ValueError, IndexError):
        return 0.0
