"""Sizes, times and step texts as people read them."""

from __future__ import annotations

import re

from builder.progress import Step, StepFinished, Transfer

_CONTROL = re.compile(
    r"\x1b(?:\[[0-?]*[ -/]*[@-~]"  # CSI: cursor, colours
    r"|[\]PX^_].*?(?:\x1b\\|\x07|$)"  # OSC and other strings: titles, links
    r"|[ -/]*[0-~])"  # the rest
    r"|[\x00-\x08\x0b-\x1f\x7f\x80-\x9f]"
)
_PAST = {"pull": "pulled", "push": "pushed", "unpack": "unpacked"}
_PRESENT = {"pull": "pulling", "push": "pushing", "unpack": "unpacking"}


def seconds(value: float) -> str:
    """``0.4s``, ``12.3s``, ``2m05s``, ``1h02m``."""
    if value < 60:
        return f"{value:.1f}s"
    whole = round(value)
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02}s"
    return f"{whole // 3600}h{whole % 3600 // 60:02}m"


def size(count: int) -> str:
    """Decimal units, as registries and docker show them: ``512 B``, ``1.4 kB``, ``51.2 MB``."""
    value = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 999.95 or unit == "GB":
            break
        value /= 1000
    return f"{count} B" if unit == "B" else f"{value:.1f} {unit}"


def header(step: Step) -> str:
    """``[build 2/5] RUN make``; only the first line of an instruction with heredocs."""
    first, newline, _ = step.text.partition("\n")
    return f"{label(step)} {first}{' ...' if newline else ''}"


def label(step: Step) -> str:
    """The step's name in brackets."""
    return step.name if step.name.startswith("[") else f"[{step.name}]"


def ending(event: StepFinished) -> str:
    """``DONE 1.2s``, ``CACHED``, ``FAILED after 3.0s``, with the detail."""
    words = {
        "done": f"DONE {seconds(event.seconds)}",
        "cached": "CACHED",
        "failed": f"FAILED after {seconds(event.seconds)}",
        "skipped": "SKIPPED",
    }
    return words[event.outcome] + (f" ({event.detail})" if event.detail else "")


def transfer(event: Transfer) -> str:
    """One transfer that has ended."""
    if event.note:
        return f"{event.what}: {event.note}"
    return f"{_PAST[event.action]} {event.what} ({size(event.done)})"


def transfers(action: str, count: int, total: int, avoided: int, elapsed: float) -> str:
    """A summary of transfers that have ended; `avoided` of the `count` moved no bytes."""
    moved = count - avoided
    parts = [f"{_PAST[action]} {moved} {'blob' if moved == 1 else 'blobs'}, {size(total)} in {seconds(elapsed)}"]
    if avoided:
        parts.append(f"{avoided} already there")
    return ", ".join(parts if moved else [f"{_PAST[action]} nothing: {avoided} already there"])


def running(action: str, count: int, done: int, total: int | None) -> str:
    """A summary of transfers that are going on."""
    of = f" of {size(total)}" if total else ""
    return f"{_PRESENT[action]} {count} {'blob' if count == 1 else 'blobs'}: {size(done)}{of}"


def printable(line: bytes) -> str:
    """A line of output for a terminal that is being drawn on: no control sequences, tabs as spaces, and of what
    overwrites itself (progress bars) the last state."""
    text = line.decode("utf-8", "replace").rstrip("\r")
    return _CONTROL.sub("", text.rpartition("\r")[2].expandtabs(8))
