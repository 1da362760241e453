"""The renderer for log collectors, on a recorded build."""

from __future__ import annotations

import io
import json
from typing import Any

from recorded import EVENTS, Clock

from builder.cli.options import Verbosity
from builder.cli.redaction import Redactor
from builder.cli.render.json_lines import JsonRenderer
from builder.cli.render.sink import Sink

_TIME = "2023-11-14T22:13:20.250Z"


def rendered(verbosity: Verbosity, *secrets: str) -> list[dict[str, Any]]:
    stream = io.StringIO()
    renderer = JsonRenderer(Sink(stream, Redactor(secrets)), verbosity, Clock(1_700_000_000.25))
    for event in EVENTS:
        renderer.emit(event)
    renderer.error("it failed", "try again")
    renderer.close()
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_objects() -> None:
    found = rendered("info")
    step = {"step": "build 2/3", "line": 4}
    assert found[0] == {"level": "info", "time": _TIME, "msg": "building example.com/app:1"}
    assert found[1] == {
        "level": "info",
        "time": _TIME,
        "msg": "pulled sha256:aaaaaaaaaaaa (2.0 MB)",
        "event": "transfer",
        "action": "pull",
        "what": "sha256:aaaaaaaaaaaa",
        "done": 2_000_000,
        "total": 2_000_000,
    }
    text = "cc -c main.c"
    output = {"level": "info", "time": _TIME, "msg": text, "event": "output", **step, "stream": "stdout"}
    assert output in found
    assert {"level": "warning", "time": _TIME, "msg": "no such user: builder", **step} in found
    assert {
        "level": "error",
        "time": _TIME,
        "msg": "[build 2/3] FAILED after 3.0s",
        "event": "step-finished",
        **step,
        "outcome": "failed",
        "seconds": 3.04,
    } in found
    assert found[-1] == {"level": "error", "time": _TIME, "msg": "it failed", "hint": "try again"}


def test_verbosity() -> None:
    levels = {document["level"] for document in rendered("warn")}
    assert levels == {"warning", "error"}
    assert "a detail" in [document["msg"] for document in rendered("debug")]


def test_secrets_are_masked_before_they_are_escaped() -> None:
    secret = 'main.c"\\x'
    stream = io.StringIO()
    JsonRenderer(Sink(stream, Redactor([secret])), "info").error(f"no {secret}", f"not {secret}")
    document = json.loads(stream.getvalue())
    assert (document["msg"], document["hint"]) == ("no ***", "not ***")
