"""A recorded build for the renderers' tests, and a clock that stands still."""

from __future__ import annotations

from builder.progress import Event, Message, Step, StepFinished, StepOutput, StepStarted, Transfer

COPY = Step(id=1, name="build 1/3", text="COPY . /src", line=3)
RUN = Step(id=2, name="build 2/3", text="RUN make", line=4)
HEREDOC = Step(id=3, name="stage-1 1/1", text="RUN <<EOF\necho a\nEOF", line=7)

EVENTS: tuple[Event, ...] = (
    Message("info", "building example.com/app:1"),
    Message("debug", "a detail"),
    Transfer("pull", "sha256:aaaaaaaaaaaa", 0, 2_000_000),
    Transfer("pull", "sha256:bbbbbbbbbbbb", 0, None),
    Transfer("pull", "sha256:aaaaaaaaaaaa", 2_000_000, 2_000_000),
    Transfer("pull", "sha256:bbbbbbbbbbbb", 512, 512),
    StepStarted(COPY),
    StepFinished(COPY, "cached", 0.0),
    StepStarted(RUN),
    StepStarted(HEREDOC),
    StepOutput(RUN, 1, b"cc -c main.c"),
    StepOutput(HEREDOC, 2, b"caf\xe9 \x1b[31mred\x1b[0m"),
    Message("warning", "no such user: builder", RUN),
    StepFinished(HEREDOC, "done", 75.2, "no changes"),
    StepOutput(RUN, 2, b"make: *** Error 2\r"),
    StepFinished(RUN, "failed", 3.04),
    Transfer("push", "sha256:cccccccccccc", 0, 10),
    Transfer("push", "sha256:cccccccccccc", 0, 10, "exists"),
)


class Clock:
    """Seconds, set by hand."""

    def __init__(self, now: float = 0.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now
