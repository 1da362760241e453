"""What the key of a step is made from besides files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from test_stage import PLATFORM, make_stage

from builder.cache.keys import identity_of, key_of
from builder.dockerfile.expand import expanded
from builder.dockerfile.parse import parse
from builder.dockerfile.syntax import Arg
from builder.engine.caching.step_inputs import Step, components_of, is_independent, shown
from builder.engine.instructions import config
from builder.engine.request import BuildRequest, ImageFormat
from builder.engine.scope import Scope


def last_step(lines: str, build_args: Mapping[str, str] | None = None, **fields: object) -> list:
    """The components of the last instruction of a stage with these instructions."""
    dockerfile = parse(f"FROM scratch\n{lines}\n".encode(), "Dockerfile")
    stage = make_stage(scope=Scope(build_args or {}, {"TARGETARCH": "amd64"}))
    request = BuildRequest(context=Path("/nowhere"), dockerfile=b"", platform=PLATFORM, **fields)
    for written in dockerfile.stages[0].instructions:
        if isinstance(written, Arg):
            config.arg(stage, written, "\\")
            continue
        instruction, _ = expanded(written, stage.scope.get, "\\")
        if not isinstance(instruction, Step):
            config.configure(stage, instruction)
    assert isinstance(instruction, Step)
    return components_of(stage, instruction, request, "what is below")


PROXY = {"http_proxy": "http://proxy"}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("RUN x", "RUN  x"),
        ("RUN x", "RUN \\\n  x"),
        ("RUN x", "LABEL a=b\nRUN x"),
        ("RUN x", "CMD y\nEXPOSE 1\nVOLUME /v\nRUN x"),
        ("RUN x", "RUN --network=default x"),
        ("RUN x", "RUN --network=host x"),
        ("ENV A=1 B=2\nRUN x", "ENV B=2\nENV A=1\nRUN x"),
        ('RUN ["x"]', 'SHELL ["sh"]\nRUN ["x"]'),
        ("COPY a b /d/", "ENV A=1\nUSER app\nCOPY a b /d/"),
        ("ARG A=/d\nCOPY a $A", "ARG B=/d\nCOPY a $B"),
        ("WORKDIR /a\nCOPY f /d", "WORKDIR /b\nCOPY f /d"),
        ("RUN --mount=type=bind,from=one,target=/m x", "RUN --mount=type=bind,from=two,target=/m x"),
    ],
)
def test_the_same_layer(one: str, other: str) -> None:
    assert key_of(last_step(one)) == key_of(last_step(other))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("RUN x", "RUN y"),
        ("RUN x", 'RUN ["x"]'),
        ('RUN ["a", "b"]', 'RUN ["a b"]'),
        ("RUN x", 'SHELL ["sh"]\nRUN x'),
        ("RUN x", "USER app\nRUN x"),
        ("RUN x", "ENV A=1\nRUN x"),
        ("RUN x", "ARG A=1\nRUN x"),
        ("RUN x", "ARG TARGETARCH\nRUN x"),
        ("ENV A=1\nRUN x", "ENV A=2\nRUN x"),
        ("RUN x", "RUN --network=none x"),
        ("RUN x", "RUN --mount=type=tmpfs,target=/t x"),
        ("RUN --mount=type=tmpfs,target=/t x", "RUN --mount=type=tmpfs,target=/u x"),
        ("RUN --mount=type=cache,target=/t,id=a x", "RUN --mount=type=cache,target=/t,id=b x"),
        ("RUN --mount=type=secret,id=a x", "RUN --mount=type=secret,id=b x"),
        ("RUN --mount=type=secret,id=a x", "RUN --mount=type=secret,id=a,env=A x"),
        ("RUN --mount=type=ssh x", "RUN --mount=type=ssh,id=other x"),
        ("RUN <<E\na\nE", "RUN <<E\nb\nE"),
        ("COPY <<E /d\na\nE", "COPY <<E /d\nb\nE"),
        ("COPY <<E /d\na\nE", "COPY <<F /d\na\nF"),
        ("COPY a b /d/", "COPY a /b /d/"),
        ("COPY a /d", "ADD a /d"),
        ("COPY a /d", "COPY --from=x a /d"),
        ("COPY a /d", "COPY --chown=1 a /d"),
        ("COPY a /d", "COPY --chmod=600 a /d"),
        ("COPY a /d", "COPY --link a /d"),
        ("COPY a /d", "COPY --parents a /d"),
        ("COPY a /d", "COPY --exclude=x a /d"),
        ("COPY a d", "WORKDIR /w\nUSER x\nCOPY a /w/d"),
        ("ADD a /d", "ADD --unpack=false a /d"),
        ("ADD http://h/f /d", f"ADD --checksum=sha256:{'0' * 64} http://h/f /d"),
        ("WORKDIR /a", "WORKDIR /b"),
        ("WORKDIR /a", "USER app\nWORKDIR /a"),
        ("RUN A B", "ENV B=\nRUN A B"),
    ],
)
def test_another_layer(one: str, other: str) -> None:
    assert key_of(last_step(one)) != key_of(last_step(other))


def test_proxies_count_where_they_are_declared() -> None:
    assert key_of(last_step("RUN x")) == key_of(last_step("RUN x", PROXY))
    declared = "ARG http_proxy\nRUN x"
    assert key_of(last_step(declared)) != key_of(last_step(declared, PROXY))


def test_arguments_that_nobody_declares_do_not_count() -> None:
    assert key_of(last_step("RUN x", {"A": "1"})) == key_of(last_step("RUN x"))
    assert key_of(last_step("ARG A\nRUN x", {"A": "1"})) != key_of(last_step("ARG A\nRUN x", {"A": "2"}))


def test_the_network_of_all_commands() -> None:
    assert key_of(last_step("RUN x", network="none")) == key_of(last_step("RUN --network=none x"))
    assert key_of(last_step("RUN x", network="host")) == key_of(last_step("RUN x"))
    assert key_of(last_step("RUN --network=host x", network="none")) == key_of(last_step("RUN x"))


def _format(lines: str, **fields: object) -> list:
    return last_step(lines, format=ImageFormat(**fields))


@pytest.mark.parametrize(
    ("lines", "fields", "same"),
    [
        ("RUN x", {"compression": "zstd"}, False),
        ("RUN x", {"level": 5}, False),
        ("RUN x", {"reproducible": True}, False),
        ("RUN x", {"epoch": 1}, False),  # the compressor is another
        ("COPY a /a", {"epoch": 1}, False),
    ],
)
def test_how_a_layer_is_written(lines: str, fields: Mapping[str, object], same: bool) -> None:
    other = _format(lines, **fields)
    assert (key_of(last_step(lines)) == key_of(other)) is same
    assert identity_of(last_step(lines)) == identity_of(other), "what follows does not depend on it"


def test_a_time_that_no_file_gets_does_not_count() -> None:
    assert key_of(_format("RUN x", epoch=1)) == key_of(_format("RUN x", epoch=2))
    assert key_of(_format("COPY a /a", epoch=1)) != key_of(_format("COPY a /a", epoch=2))
    assert key_of(_format("RUN x", epoch=1, reproducible=True)) != key_of(_format("RUN x", epoch=2, reproducible=True))


@pytest.mark.parametrize(
    ("line", "independent"),
    [
        ("COPY --link a /a", True),
        ("COPY --link --chown=1:2 a /a", True),
        ("COPY --link --chown=app a /a", False),
        ("COPY --link --chown=1:app a /a", False),
        ("COPY --link --chmod=600 a /a", False),
        ("COPY a /a", False),
        ("ADD --link a /a", True),
        ("RUN x", False),
        ("WORKDIR /a", False),
    ],
)
def test_what_depends_on_nothing_below(line: str, independent: bool) -> None:
    instruction = parse(f"FROM scratch\n{line}\n".encode(), "Dockerfile").stages[0].instructions[0]
    assert isinstance(instruction, Step)
    assert is_independent(instruction) is independent
    assert ("what is beneath" in {each.name for each in last_step(line)}) is not independent


def test_what_a_cache_is_told_of_an_instruction() -> None:
    text = "RUN curl https://user:password@host/path http://token@other && echo a@b"
    instruction = parse(f"FROM scratch\n{text}\n".encode(), "Dockerfile").stages[0].instructions[0]
    assert shown(instruction) == "RUN curl https://host/path http://other && echo a@b"
