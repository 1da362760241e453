"""The renderer for logs, on a recorded build."""

from __future__ import annotations

import io
import threading

import pytest
from recorded import EVENTS, RUN, Clock

from builder.cli.options import Verbosity
from builder.cli.redaction import Redactor
from builder.cli.render.plain import PlainRenderer, Style
from builder.cli.render.sink import Sink
from builder.progress import Message, StepFinished, StepOutput, Transfer


def rendered(verbosity: Verbosity, style: Style | None = None, secrets: tuple[str, ...] = ()) -> str:
    stream = io.StringIO()
    renderer = PlainRenderer(Sink(stream, Redactor(secrets)), verbosity, style or Style(), Clock())
    for event in EVENTS:
        renderer.emit(event)
    renderer.error("RUN make failed with exit code 2\nDockerfile:4", "look above")
    renderer.close()
    return stream.getvalue()


def test_info() -> None:
    assert rendered("info") == (
        "building example.com/app:1\n"
        "pulled 2 blobs, 2.0 MB in 0.0s\n"
        "[build 1/3] COPY . /src\n"
        "[build 1/3] CACHED\n"
        "[build 2/3] RUN make\n"
        "[stage-1 1/1] RUN <<EOF ...\n"
        "[build 2/3] | cc -c main.c\n"
        "[stage-1 1/1] | caf\N{REPLACEMENT CHARACTER} \x1b[31mred\x1b[0m\n"
        "[build 2/3] warning: no such user: builder\n"
        "[stage-1 1/1] DONE 1m15s (no changes)\n"
        "[build 2/3] | make: *** Error 2\n"
        "[build 2/3] FAILED after 3.0s\n"
        "pushed nothing: 1 already there\n"
        "error: RUN make failed with exit code 2\n"
        "Dockerfile:4\n"
        "hint: look above\n"
    )


def test_debug_names_each_transfer() -> None:
    lines = rendered("debug").splitlines()
    assert lines[:5] == [
        "building example.com/app:1",
        "debug: a detail",
        "pulled sha256:aaaaaaaaaaaa (2.0 MB)",
        "pulled sha256:bbbbbbbbbbbb (512 B)",
        "pulled 2 blobs, 2.0 MB in 0.0s",
    ]
    assert "sha256:cccccccccccc: exists" in lines


def test_warn_shows_output_only_of_what_fails() -> None:
    assert rendered("warn") == (
        "[build 2/3] warning: no such user: builder\n"
        "[build 2/3] | cc -c main.c\n"
        "[build 2/3] | make: *** Error 2\n"
        "error: RUN make failed with exit code 2\n"
        "Dockerfile:4\n"
        "hint: look above\n"
    )


def test_timestamps() -> None:
    lines = rendered("info", Style(timestamps=True, now=Clock(1_700_000_000.9))).splitlines()
    assert lines
    assert all(line.startswith("2023-11-14T22:13:20Z ") for line in lines)


def test_color() -> None:
    lines = rendered("info", Style(color=True)).splitlines()
    assert lines[2] == "\x1b[1;36m[build 1/3] COPY . /src\x1b[0m"
    assert lines[3] == "\x1b[36m[build 1/3]\x1b[0m \x1b[32mCACHED\x1b[0m"
    assert lines[-1] == "\x1b[33mhint:\x1b[0m look above"


def test_secrets_are_masked() -> None:
    assert "main.c" not in rendered("info", secrets=("main.c",))


def test_long_transfers_are_told_now_and_then() -> None:
    stream, clock = io.StringIO(), Clock()
    renderer = PlainRenderer(Sink(stream, Redactor()), "info", Style(), clock)
    for seconds, done in ((0, 0), (5, 1_000_000), (11, 3_000_000), (12, 4_000_000), (22, 9_000_000), (30, 10_000_000)):
        clock.now = seconds
        renderer.emit(Transfer("pull", "sha256:aaaaaaaaaaaa", done, 10_000_000))
    renderer.close()
    assert stream.getvalue() == (
        "pulling 1 blob: 3.0 MB of 10.0 MB\npulling 1 blob: 9.0 MB of 10.0 MB\npulled 1 blob, 10.0 MB in 30.0s\n"
    )


class _Closed(io.StringIO):
    def write(self, text: str) -> int:
        raise BrokenPipeError


def test_a_closed_pipe_is_ignored() -> None:
    renderer = PlainRenderer(Sink(_Closed(), Redactor()), "trace", Style())
    for event in EVENTS:
        renderer.emit(event)
    renderer.error("x", None)
    renderer.close()


@pytest.mark.parametrize("encoding", ["ascii", "utf-8"])
def test_what_the_encoding_lacks_is_replaced(encoding: str) -> None:
    buffer = io.BytesIO()
    renderer = PlainRenderer(Sink(io.TextIOWrapper(buffer, encoding=encoding), Redactor()), "info", Style())
    renderer.emit(Message("info", "caf\N{LATIN SMALL LETTER E WITH ACUTE} \udcff"))
    assert buffer.getvalue() == {"ascii": b"caf? ?\n", "utf-8": b"caf\xc3\xa9 ?\n"}[encoding]


def test_threads_do_not_mix_lines() -> None:
    stream = io.StringIO()
    renderer = PlainRenderer(Sink(stream, Redactor()), "info", Style())

    def work() -> None:
        for _ in range(200):
            renderer.emit(StepOutput(RUN, 1, b"x" * 50))
        renderer.emit(StepFinished(RUN, "done", 0.0))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(stream.getvalue().splitlines()) == {"[build 2/3] | " + "x" * 50, "[build 2/3] DONE 0.0s"}
