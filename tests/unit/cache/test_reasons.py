"""Why a step is built again, from what was kept of its last build."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from builder.cache import inputs
from builder.cache.base import CacheKey
from builder.cache.keys import component, key_of
from builder.cache.record import inputs_path
from builder.cache.steps import StepHistory, StepPlace

BEFORE = {"instruction": "RUN x", "what is beneath": "base", "ARG A": "1", "file a": "a", "file b": "b"}


def components(values: Mapping[str, str]) -> list:
    return [component(name, value) for name, value in values.items()]


def reason(now: Mapping[str, str], *, first: bool = True) -> str:
    before = inputs.from_json(inputs.to_json(components(BEFORE)))
    assert before is not None
    return inputs.reason(before, components(now), first=first)


def without(name: str) -> dict[str, str]:
    return {each: value for each, value in BEFORE.items() if each != name}


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        (BEFORE | {"ARG A": "2"}, "ARG A changed"),
        (BEFORE | {"file b": "2", "file a": "2"}, "file a changed, file b changed"),
        (BEFORE | {"file c": "c"}, "file c is new"),
        (without("file a"), "file a is gone"),
        (without("file a") | {"file b": "2", "file c": "c"}, "file b changed, file c is new, file a is gone"),
        (BEFORE | {"instruction": "RUN y", "ARG A": "2"}, "instruction changed"),
        (BEFORE | {"what is beneath": "other", "ARG A": "2"}, "base changed"),
        (BEFORE | {f"file {n}": "new" for n in range(5)},
         "file 0 is new, file 1 is new, file 2 is new, and 2 more"),
        (BEFORE, "it is no longer in the cache"),
    ],
)  # fmt: skip
def test_reasons(now: Mapping[str, str], expected: str) -> None:
    assert reason(now) == expected


def test_beneath_is_the_base_for_the_first_step_alone() -> None:
    assert reason(BEFORE | {"what is beneath": "other"}, first=False) == "earlier step changed"


@pytest.mark.parametrize("data", [b"", b"{", b"[1]", b'[["a"]]', b"null", b'{"a": 1}', b"\xff", b"[" * 100_000])
def test_what_is_damaged_is_as_if_it_had_never_been_there(data: bytes) -> None:
    assert inputs.from_json(data) is None


def place(position: int = 0, dockerfile: str = "d") -> StepPlace:
    return StepPlace(dockerfile=dockerfile, stage="s", position=position, first=position == 0)


def test_each_step_has_a_history_of_its_own(tmp_path: Path) -> None:
    history = StepHistory(tmp_path)
    now = components(BEFORE)
    assert history.reason(place(), now) == "not built before"
    key = key_of(now)
    inputs_path(tmp_path, key).parent.mkdir(parents=True)
    inputs_path(tmp_path, key).write_bytes(inputs.to_json(now))
    history.note(place(), key)
    changed = components(BEFORE | {"ARG A": "2"})
    assert StepHistory(tmp_path).reason(place(), changed) == "ARG A changed"
    assert history.reason(place(1), changed) == "not built before"
    assert history.reason(place(dockerfile="other"), changed) == "not built before"
    history.note(place(), CacheKey("0" * 64))
    assert history.reason(place(), changed) == "not built before"


@pytest.mark.parametrize("text", ["", "../../../etc/passwd", "0" * 63, "\xff"])
def test_a_history_that_was_tampered_with(tmp_path: Path, text: str) -> None:
    history = StepHistory(tmp_path)
    history.note(place(), CacheKey("0" * 64))
    (path,) = [each for each in (tmp_path / "steps").rglob("*") if each.is_file()]
    path.write_bytes(text.encode("latin-1"))
    assert history.reason(place(), components(BEFORE)) == "not built before"


def test_a_history_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "steps").write_text("a file")
    history = StepHistory(tmp_path)
    history.note(place(), CacheKey("0" * 64))
    assert history.reason(place(), components(BEFORE)) == "not built before"
