"""The updating display, seen through a small terminal that understands what it uses."""

from __future__ import annotations

import io
import re

import pytest
from recorded import COPY, EVENTS, RUN, Clock

from builder.cli.options import Verbosity
from builder.cli.redaction import Redactor
from builder.cli.render.plain import Style
from builder.cli.render.sink import Sink
from builder.cli.render.tty import TerminalRenderer
from builder.cli.render.wording import printable
from builder.progress import Message, Step, StepFinished, StepOutput, StepStarted, Transfer


class _Sink(Sink):
    columns, rows = 40, 10

    @property
    def size(self) -> tuple[int, int]:
        return self.columns, self.rows


class Screen:
    """What a terminal shows after all that was written."""

    def __init__(self, verbosity: Verbosity = "info", *secrets: str) -> None:
        self._stream = io.StringIO()
        self.clock = Clock()
        self.renderer = TerminalRenderer(_Sink(self._stream, Redactor(secrets)), verbosity, Style(), self.clock)

    def emit(self, *events: object) -> None:
        for event in events:
            self.clock.now += 1
            self.renderer.emit(event)  # type: ignore[arg-type]

    @property
    def lines(self) -> list[str]:
        shown: list[str] = [""]
        for part in re.findall(r"\x1b\[\d*[A-Z]|\n|[^\x1b\n]+", self._stream.getvalue()):
            if part == "\n":
                shown.append("")
            elif part == "\x1b[J":
                continue  # what is below is gone since the cursor moved up
            elif part.startswith("\x1b["):
                up = int(part[2:-1])
                assert part.endswith("A")
                assert up < len(shown), "the cursor moved above what was drawn"
                shown = [*shown[: len(shown) - 1 - up], ""]
            else:
                shown[-1] += part
        return shown[:-1]


@pytest.fixture
def screen() -> Screen:
    return Screen()


def test_running_steps_are_redrawn_with_time_and_output(screen: Screen) -> None:
    screen.emit(StepStarted(COPY), StepFinished(COPY, "cached", 0.0), StepStarted(RUN))
    screen.emit(*(StepOutput(RUN, 1, f"line {number}".encode()) for number in range(7)))
    assert screen.lines == [
        "[build 1/3] COPY . /src CACHED",
        "[build 2/3] RUN make 7.0s",
        "  | line 2",
        "  | line 3",
        "  | line 4",
        "  | line 5",
        "  | line 6",
    ]
    screen.emit(StepFinished(RUN, "done", 7.5))
    assert screen.lines == ["[build 1/3] COPY . /src CACHED", "[build 2/3] RUN make DONE 7.5s"]


def test_a_failed_step_leaves_its_output(screen: Screen) -> None:
    screen.emit(StepStarted(RUN), *(StepOutput(RUN, 1, f"line {number}".encode()) for number in range(7)))
    screen.emit(StepFinished(RUN, "failed", 7.5))
    assert screen.lines == [
        "[build 2/3] RUN make FAILED after 7.5s",
        *(f"  | line {number}" for number in range(7)),
    ]


def test_transfers(screen: Screen) -> None:
    screen.emit(Transfer("pull", "a", 0, 100), Transfer("pull", "b", 0, 300), Transfer("pull", "b", 200, 300))
    assert screen.lines == ["pulling 2 blobs: 200 B of 400 B"]
    screen.emit(Transfer("pull", "a", 100, 100), Transfer("pull", "b", 300, 300), StepStarted(COPY))
    assert screen.lines == ["pulled 2 blobs, 400 B in 5.0s", "[build 1/3] COPY . /src 0.0s"]


def test_a_message_comes_after_the_transfers_that_have_ended(screen: Screen) -> None:
    screen.emit(Transfer("push", "a", 0, 1), Transfer("push", "a", 1, 1), Message("info", "pushed the image"))
    assert screen.lines == ["pushed 1 blob, 1 B in 2.0s", "pushed the image"]


def test_messages_stay_above_what_runs(screen: Screen) -> None:
    screen.emit(StepStarted(RUN), Message("warning", "careful", RUN), Message("debug", "unseen"))
    assert screen.lines == ["[build 2/3] warning: careful", "[build 2/3] RUN make 2.0s"]


def test_lines_are_cut_to_the_terminal(screen: Screen) -> None:
    step = Step(id=9, name="build 1/1", text="RUN " + "x" * 100, line=1)
    screen.emit(StepStarted(step), StepOutput(step, 1, ("\N{CJK UNIFIED IDEOGRAPH-6F22}" * 40).encode()))
    header, output = screen.lines
    assert header == "[build 1/1] RUN " + "x" * 15 + "... 1.0s"
    assert len(header) == 39
    assert output.startswith("  | \N{CJK UNIFIED IDEOGRAPH-6F22}")
    assert len(output) <= 4 + 18


def test_more_steps_than_lines(screen: Screen) -> None:
    steps = [Step(id=number, name=f"s {number}/99", text="RUN x", line=1) for number in range(30)]
    screen.emit(*(StepStarted(step) for step in steps))
    assert len(screen.lines) == 9


def test_the_error_is_the_last_thing_and_nothing_is_drawn_after_it(screen: Screen) -> None:
    screen.emit(StepStarted(RUN), StepOutput(RUN, 1, b"text"))
    screen.renderer.error("stopped by SIGINT", "a hint")
    screen.emit(StepStarted(COPY))
    screen.renderer.close()
    assert screen.lines == ["error: stopped by SIGINT", "hint: a hint"]


def test_the_whole_recording_leaves_no_running_lines(screen: Screen) -> None:
    screen.emit(*EVENTS)
    screen.renderer.close()
    assert screen.lines == [
        "building example.com/app:1",
        "pulled 2 blobs, 2.0 MB in 4.0s",
        "[build 1/3] COPY . /src CACHED",
        "[build 2/3] warning: no such user: builder",
        "[stage-1 1/1] RUN <<EOF ... DONE 1m15s (no changes)",
        "[build 2/3] RUN make FAILED after 3.0s",
        "  | cc -c main.c",
        "  | make: *** Error 2",
        "pushed nothing: 1 already there",
    ]


def test_secrets_are_masked_before_lines_are_cut() -> None:
    screen = Screen("info", "secret-" + "x" * 60)
    screen.emit(StepStarted(RUN), StepOutput(RUN, 1, b"secret-" + b"x" * 60))
    assert screen.lines[1] == "  | ***"


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        (b"plain", "plain"),
        (b"\x1b[1;31mred\x1b[0m", "red"),
        (b"\x1b[2J\x1b[H\x1b[?25lup", "up"),
        (b"\x1b]0;title\x07text", "text"),
        (b"\x1b]8;;https://x\x1b\\link\x1b]8;;\x1b\\", "link"),
        (b"10%\r50%\r100%\r", "100%"),
        (b"a\tb", "a       b"),
        (b"bell\x07 back\x08 \x9b1A", "bell back \N{REPLACEMENT CHARACTER}1A"),
        ("\u009b2J".encode(), "2J"),
        (b"\xff\xfe", "\N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER}"),
        (b"\x1b(Bcharset", "charset"),
    ],
)
def test_control_sequences_are_stripped(line: bytes, shown: str) -> None:
    assert printable(line) == shown
