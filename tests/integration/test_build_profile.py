"""``--profile`` of whole builds: what the trace holds, and the line at the end."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from pathlib import Path
from typing import Any

from support.builder import Builder
from support.contexts import MakeContext
from support.registry import LoopbackRegistry

_SUMMARY = re.compile(r"^(?:(?:pull|unpack|run|snapshot|compress|push) \d+\.\ds, )+total \d+\.\ds$", re.MULTILINE)


def _events(path: Path) -> list[dict[str, Any]]:
    return [event for event in json.loads(path.read_text())["traceEvents"] if event["ph"] == "X"]


def test_the_profile_of_a_build(
    root_builder: Builder,
    registry: LoopbackRegistry,
    busybox: dict[str, str],
    make_context: MakeContext,
    repository: str,
    scratch: Path,
) -> None:
    dockerfile = (
        f"FROM {busybox['oci']} AS first\nRUN --mount=type=secret,id=s cat /run/secrets/s && echo made > /made\n"
        f"FROM {busybox['oci']}\nCOPY file /\nCOPY --from=first /made /\nRUN echo again > /again # sesame-sesame\n"
    )
    context = make_context({"Dockerfile": dockerfile, "file": b"x" * 3_000_000, "secret": "sesame-sesame"})
    outcome = root_builder.build(
        context,
        f"--destination={registry.reference(repository)}:1",
        f"--profile={scratch}/traces/trace.json",
        f"--secret=id=s,src={context}/secret",
    ).ok()
    (summary,) = _SUMMARY.findall(outcome.stderr)
    events = _events(scratch / "traces/trace.json")
    kinds = defaultdict(list)
    for event in events:
        kinds[event["cat"]].append(event)
    for kind in ("pull", "unpack", "run", "snapshot", "compress", "push"):
        assert f"{kind} " in summary
        assert kinds[kind], f"no {kind} in the trace"
    assert len(kinds["run"]) == len(kinds["snapshot"]) == 2
    assert {event["args"]["line"] for event in kinds["run"]} == {2, 6}
    assert {event["args"]["line"] for event in kinds["compress"]} >= {4, 5, 6}, "of each layer of the image"
    texts = [event["args"]["step"] for event in kinds["step"]]
    assert any("COPY --from=first /made /" in text for text in texts)
    assert len([event for event in kinds["push"] if event["args"].get("bytes", 0) > 0]) >= 4
    _assert_nested(events)
    assert "sesame" not in (scratch / "traces/trace.json").read_text()


def _assert_nested(events: list[dict[str, Any]]) -> None:
    """Of two events on one track, the later one begins after the other's end or ends before it."""
    tracks = defaultdict(list)
    for event in events:
        tracks[event["tid"]].append((event["ts"], event["ts"] + event["dur"], event["name"]))
    for track in tracks.values():
        open_until: list[tuple[int, str]] = []
        for begin, end, name in sorted(track, key=lambda each: (each[0], -each[1])):
            while open_until and open_until[-1][0] <= begin:
                open_until.pop()
            assert not open_until or end <= open_until[-1][0], (name, open_until)
            open_until.append((end, name))


def test_the_profile_of_a_build_that_fails(
    root_builder: Builder, busybox: dict[str, str], make_context: MakeContext, scratch: Path
) -> None:
    context = make_context({"Dockerfile": f"FROM {busybox['oci']}\nRUN exit 3\n"})
    outcome = root_builder.build(context, "--no-push", f"--profile={scratch}/trace.json")
    outcome.failed("exit code 3")
    outcomes = [event["args"]["outcome"] for event in _events(scratch / "trace.json") if event["cat"] == "step"]
    assert outcomes == ["done", "failed"]


def test_a_profile_that_cannot_be_written_fails_the_build_at_its_end(
    root_builder: Builder, make_context: MakeContext, scratch: Path
) -> None:
    (scratch / "file").touch()
    context = make_context({"Dockerfile": "FROM scratch\nCOPY Dockerfile /\n"})
    root_builder.build(context, "--no-push", f"--profile={scratch}/file/trace.json").failed("cannot write")
