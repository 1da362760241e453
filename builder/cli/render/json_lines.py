"""The renderer for log collectors: one JSON object a line.

Keys: ``level``, ``time`` (RFC 3339, UTC), ``msg``; where they apply ``event`` (step-started, output, step-finished,
transfer, span), ``step``, ``line`` (of the Dockerfile), ``stream``, ``outcome``, ``seconds``, ``detail``, ``action``,
``what``, ``done``, ``total`` (bytes), ``note``, ``work``, ``hint``.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from builder.cli.options import Verbosity
from builder.cli.render import wording
from builder.cli.render.levels import shows
from builder.cli.render.sink import Sink
from builder.progress import Event, Level, Message, Span, Step, StepFinished, StepOutput, StepStarted, Transfer


class JsonRenderer:
    """`now` gives the time of day in seconds since the epoch."""

    def __init__(self, sink: Sink, verbosity: Verbosity, now: Callable[[], float] = time.time) -> None:
        self._sink, self._verbosity, self._now = sink, verbosity, now
        self._lock = threading.RLock()

    def emit(self, event: Event, /) -> None:
        level = _level(event)
        if shows(self._verbosity, level):
            self._write(level, _message(event), _fields(event))

    def error(self, message: str, hint: str | None) -> None:
        self._write("error", message, {"hint": hint} if hint else {})

    def close(self) -> None:
        return

    def _write(self, level: Level, message: str, fields: Mapping[str, Any]) -> None:
        when = datetime.fromtimestamp(self._now(), UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        document = {"level": level, "time": when, "msg": self._sink.redacted(message)}
        document |= {
            key: self._sink.redacted(value) if isinstance(value, str) else value for key, value in fields.items()
        }
        with self._lock:
            self._sink.write(json.dumps(document) + "\n")


def _level(event: Event) -> Level:
    if isinstance(event, Message):
        return event.level
    if isinstance(event, StepFinished) and event.outcome == "failed":
        return "error"
    if isinstance(event, Transfer):
        return "info" if event.note or event.done == event.total else "debug"
    return "trace" if isinstance(event, Span) else "info"


def _message(event: Event) -> str:
    match event:
        case StepStarted(step):
            return wording.header(step)
        case StepOutput():
            return event.line.decode("utf-8", "replace").rstrip("\r")
        case StepFinished():
            return f"{wording.label(event.step)} {wording.ending(event)}"
        case Message():
            return event.text
        case Transfer() if event.note or event.done == event.total:
            return wording.transfer(event)
        case Transfer():
            return wording.running(event.action, 1, event.done, event.total)
        case Span():
            return f"{event.work} {event.what} {wording.seconds(event.ended - event.started)}"


def _fields(event: Event) -> dict[str, Any]:
    match event:
        case StepStarted(step):
            return {"event": "step-started", **_step(step)}
        case StepOutput():
            return {"event": "output", **_step(event.step), "stream": "stderr" if event.stream == 2 else "stdout"}
        case StepFinished():
            fields = {"event": "step-finished", **_step(event.step), "outcome": event.outcome}
            return fields | {"seconds": round(event.seconds, 3)} | ({"detail": event.detail} if event.detail else {})
        case Message():
            return _step(event.step)
        case Transfer():
            fields = {"event": "transfer", "action": event.action, "what": event.what, "done": event.done}
            return fields | {"total": event.total} | ({"note": event.note} if event.note else {})
        case Span():
            taken = {"work": event.work, "what": event.what, "seconds": round(event.ended - event.started, 3)}
            return {"event": "span", **_step(event.step), **taken}


def _step(step: Step | None) -> dict[str, Any]:
    return {"step": step.name.strip("[]"), "line": step.line} if step else {}
