"""Where the time went: what is noted of the events, the line at the end, and the trace."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from builder.cli.profile import Profile
from builder.cli.redaction import Redactor
from builder.errors import StorageError
from builder.progress import (
    Event,
    Message,
    Recorded,
    Span,
    Step,
    StepFinished,
    StepStarted,
    Transfer,
    Work,
    current_step,
    working,
)

STEP = Step(id=1, name="[build 2/3]", text="RUN make", line=4)


class Clock:
    """A clock that the test sets."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Renderer(Recorded):
    """A renderer that keeps the events."""

    def __init__(self) -> None:
        super().__init__()
        self.said: list[str] = []

    def error(self, message: str, hint: str | None) -> None:
        self.said.append(message)

    def close(self) -> None:
        self.said.append("closed")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def profile(clock: Clock) -> Profile:
    return Profile(Renderer(), started=99.0, clock=clock)


def span(work: Work, started: float, ended: float, step: Step | None = None, what: str = "") -> Span:
    return Span(work=work, what=what, started=started, ended=ended, step=step)


def in_thread(name: str, work: Callable[[], object]) -> None:
    thread = threading.Thread(target=work, name=name)
    thread.start()
    thread.join()


def trace(profile: Profile, path: Path, *secrets: str) -> list[dict[str, Any]]:
    profile.write(path, Redactor(secrets))
    document = json.loads(path.read_text())
    assert document.keys() == {"displayTimeUnit", "traceEvents"}
    events: list[dict[str, Any]] = document["traceEvents"]
    return events


def complete(events: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {event["name"]: event for event in events if event["ph"] == "X"}


def test_a_renderer_behind_a_profile_gets_everything_but_spans() -> None:
    renderer = Renderer()
    profile = Profile(renderer)
    events: list[Event] = [StepStarted(STEP), Message("info", "hello"), Transfer("pull", "sha256:1", 0, 5)]
    for event in (*events, span("run", 1, 2)):
        profile.emit(event)
    profile.error("broken", None)
    profile.close()
    assert renderer.events == events
    assert renderer.said == ["broken", "closed"]


def test_the_summary_counts_what_goes_on_at_the_same_time_once(profile: Profile, clock: Clock) -> None:
    for started, ended in ((100.0, 101.0), (100.5, 102.0), (104.0, 105.0)):
        profile.emit(span("compress", started, ended))
    profile.emit(span("run", 100.0, 100.25))
    clock.now = 109.0
    assert profile.summary() == "run 0.2s, compress 3.0s, total 10.0s"


def test_transfers_are_measured_from_their_first_event_to_their_last(profile: Profile, clock: Clock) -> None:
    profile.emit(Transfer("pull", "sha256:aa", 0, 10))
    clock.now = 101.0
    profile.emit(Transfer("pull", "sha256:aa", 5, 10))
    profile.emit(Transfer("push", "sha256:bb", 0, 10))
    clock.now = 103.0
    profile.emit(Transfer("pull", "sha256:aa", 10, 10))
    profile.emit(Transfer("push", "sha256:bb", 10, 10, "exists"))
    assert (profile.busy("pull"), profile.busy("push")) == (3.0, 2.0)
    assert profile.busy("unpack") is None
    noted = {each.kind: each.details for each in profile.noted}
    assert noted == {"pull": {"bytes": 10, "note": ""}, "push": {"bytes": 0, "note": "exists"}}


def test_a_block_is_noted_for_the_step_of_its_thread() -> None:
    progress = Recorded()
    token = current_step.set(STEP)
    with pytest.raises(ValueError), working(progress, "snapshot", "x"):
        raise ValueError
    current_step.reset(token)
    with working(progress, "compress", step=None):
        pass
    spans = [event for event in progress.events if isinstance(event, Span)]
    assert [(each.work, each.what, each.step) for each in spans] == [("snapshot", "x", STEP), ("compress", "", None)]
    assert all(each.started <= each.ended for each in spans)


def test_the_trace_has_a_complete_event_for_each_span(profile: Profile, clock: Clock, tmp_path: Path) -> None:
    def stage() -> None:
        profile.emit(StepStarted(STEP))
        profile.emit(span("run", 100.5, 101.5, STEP))
        clock.now = 102.0
        profile.emit(StepFinished(STEP, "done", 2.0, "because"))

    in_thread("stage-1", stage)
    in_thread("layers_0", lambda: profile.emit(span("compress", 102.0, 103.5, STEP)))
    clock.now = 104.0
    events = trace(profile, tmp_path / "deep/trace.json")
    for event in events:
        assert event["ph"] in ("X", "M") and isinstance(event["pid"], int) and isinstance(event["tid"], int)
    found = complete(events)
    assert found["build"] | {"tid": 0} == {
        "name": "build", "cat": "build", "ph": "X", "ts": 0, "dur": 5_000_000, "pid": 1, "tid": 0, "args": {},
    }  # fmt: skip
    step, run, compress = found["[build 2/3] RUN make"], found["run"], found["compress"]
    assert (step["ts"], step["dur"], step["cat"]) == (1_000_000, 2_000_000, "step")
    assert step["args"] == {"step": "[build 2/3] RUN make", "line": 4, "outcome": "done", "detail": "because"}
    assert (run["ts"], run["dur"], run["args"]["line"]) == (1_500_000, 1_000_000, 4)
    assert run["tid"] == step["tid"] != compress["tid"]
    names = {event["tid"]: event["args"]["name"] for event in events if event["name"] == "thread_name"}
    assert (names[found["build"]["tid"]], names[step["tid"]], names[compress["tid"]]) == (
        "build",
        "stage-1",
        "layers_0",
    )


def test_transfers_at_the_same_time_have_tracks_of_their_own(profile: Profile, clock: Clock, tmp_path: Path) -> None:
    for name in ("a", "b"):
        profile.emit(Transfer("push", name, 0, 1))
    for name in ("b", "a"):
        clock.now += 1
        profile.emit(Transfer("push", name, 1, 1))
    profile.emit(Transfer("push", "c", 0, 1))
    profile.emit(Transfer("push", "c", 1, 1))
    found = complete(trace(profile, tmp_path / "trace.json"))
    assert found["push a"]["tid"] == found["push c"]["tid"] != found["push b"]["tid"]


def test_no_secret_is_in_the_trace(profile: Profile, tmp_path: Path) -> None:
    step = Step(id=2, name="[1/1]", text="RUN login hunter2-hunter2", line=1)
    profile.emit(StepStarted(step))
    profile.emit(span("run", 100, 101, step, "hunter2-hunter2"))
    profile.emit(StepFinished(step, "done", 1.0, "from https://user:sesame-open@example.com/"))
    trace(profile, tmp_path / "trace.json", "hunter2-hunter2")
    text = (tmp_path / "trace.json").read_text()
    assert "***" in text
    assert "hunter2" not in text and "sesame" not in text


def test_a_trace_that_cannot_be_written(profile: Profile, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="cannot write"):
        profile.write(tmp_path / "file/trace.json", Redactor())
