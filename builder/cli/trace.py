"""The trace of a build in Chrome's format ("Trace Event Format", JSON object form), which Perfetto opens."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from builder.cli.profile import Noted
from builder.cli.redaction import Redactor

_PROCESS = 1
_MAIN = "MainThread"


def chrome_trace(noted: Iterable[Noted], started: float, ended: float, redact: Redactor) -> dict[str, Any]:
    """The JSON document: a complete event (``X``) for each of `noted`, and a name (``M``) for each track.

    Times are in microseconds since `started`. Events of one track are nested or apart. No secret is in any text.
    """
    spans = sorted(noted, key=lambda each: (each.started, -each.ended))
    tracks = {_MAIN: 1}
    for each in spans:
        tracks.setdefault(each.track, len(tracks) + 1)
    whole = Noted(kind="build", name="build", started=started, ended=ended, track=_MAIN)
    events = [_metadata("process_name", 0, name="builder")]
    for track, number in tracks.items():
        events.append(_metadata("thread_name", number, name=_title(track)))
        events.append(_metadata("thread_sort_index", number, sort_index=_order(track, number)))
    events += [_event(each, tracks[each.track], started, redact) for each in (whole, *spans)]
    return {"displayTimeUnit": "ms", "traceEvents": events}


def _metadata(what: str, thread: int, **arguments: str | int) -> dict[str, Any]:
    return {"name": what, "ph": "M", "pid": _PROCESS, "tid": thread, "args": arguments}


def _event(noted: Noted, thread: int, origin: float, redact: Redactor) -> dict[str, Any]:
    arguments = {
        name: redact(value) if isinstance(value, str) else value for name, value in noted.details.items() if value != ""
    }
    begin = round((noted.started - origin) * 1e6)
    return {
        "name": redact(noted.name) if noted.kind in ("step", "build") else redact(f"{noted.kind} {noted.name}".strip()),
        "cat": noted.kind,
        "ph": "X",
        "ts": max(0, begin),
        "dur": max(0, round((noted.ended - origin) * 1e6) - begin),
        "pid": _PROCESS,
        "tid": thread,
        "args": arguments,
    }


def _title(track: str) -> str:
    return "build" if track == _MAIN else track


def _order(track: str, number: int) -> int:
    """The build, then stages, then work on layers, then transfers."""
    ranks = ("stage", "layers", "pull", "push")
    rank = next((place for place, name in enumerate(ranks, 1) if track.startswith(name)), 0)
    return rank * 1000 + number
