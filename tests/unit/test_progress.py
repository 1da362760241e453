"""Events, and the sinks that keep or drop them."""

from __future__ import annotations

from builder.progress import Message, Recorded, Silent, Step, StepStarted, log


def test_events_are_kept_in_order() -> None:
    step = Step(id=1, name="[build 1/2]", text="RUN x", line=3)
    progress = Recorded()
    progress.emit(StepStarted(step))
    log(progress, "warning", "careful", step)
    log(progress, "info", "hello")
    assert progress.events == [StepStarted(step), Message("warning", "careful", step), Message("info", "hello")]


def test_silence() -> None:
    progress = Silent()
    log(progress, "error", "nobody hears this")
    assert not hasattr(progress, "events")
