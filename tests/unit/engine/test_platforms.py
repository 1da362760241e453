"""Plans for several platforms: which stages are one."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import cast

import pytest

from builder.engine.annotations import annotations_of
from builder.engine.bases import Bases
from builder.engine.named_contexts import NamedContexts
from builder.engine.platforms import PlatformPlan, make_plans
from builder.engine.request import BuildRequest
from builder.engine.services import Services
from builder.errors import UsageError
from builder.image.platform import Platform
from builder.progress import Silent

HOST = str(Platform.host())
FOREIGN = ("linux/riscv64", "linux/arm/v7", "linux/arm/v6")


def plans_of(text: str, *, single_snapshot: bool = False, **build_args: str) -> tuple[PlatformPlan, ...]:
    platforms = Platform.parse_all(FOREIGN)
    request = BuildRequest(
        context=Path("/nowhere"),
        dockerfile=text.encode(),
        build_args=build_args,
        platform=platforms[0],
        platforms=platforms,
        single_snapshot=single_snapshot,
    )
    with ExitStack() as stack:
        contexts = NamedContexts({}, stack, Path("/nowhere"), {}, Silent())
        # Nothing is FROM an image here, so no service is asked for.
        return make_plans(request, Bases(cast(Services, None), contexts))


def built(plans: tuple[PlatformPlan, ...]) -> list[str]:
    """What is built, in order: the stage's name and how many instructions of it."""
    return [
        f"{stage.name}: {len(stage.instructions)}"
        for each in plans
        for stage in each.plan.stages
        if stage.index not in each.plan.borrowed
    ]


@pytest.mark.parametrize(
    ("stage", "expected"),
    [
        ("RUN a\nRUN b", [f"{HOST} s: 2"]),
        ("ARG OTHER=x\nRUN a\nARG TARGETOS\nRUN b", [f"{HOST} s: 4"]),
        ("ARG TARGETARCH=fixed\nRUN b", [f"{HOST} s: 2"]),
        ("ARG TARGETARCH\nRUN b", [f"{HOST}->riscv64 s: 2", f"{HOST}->arm s: 2"]),
        ("ENV A=b\nARG TARGETARCH\nRUN b", [f"{HOST}->riscv64 s: 3", f"{HOST}->arm s: 3"]),
        ("RUN a\nARG TARGETARCH\nRUN b", [f"{HOST} s: 1", f"{HOST}->riscv64 s: 2", f"{HOST}->arm s: 2"]),
        (
            "RUN a\nARG TARGETPLATFORM\nRUN b",
            [f"{HOST} s: 1", f"{HOST}->riscv64 s: 2", f"{HOST}->arm/v7 s: 2", f"{HOST}->arm/v6 s: 2"],
        ),
        ("RUN a\nARG DERIVED\nRUN b", [f"{HOST} s: 1", f"{HOST} s: 2", f"{HOST} s: 2", f"{HOST} s: 2"]),
    ],
)
def test_stages_on_the_build_platform(stage: str, expected: list[str]) -> None:
    text = f"ARG DERIVED=$TARGETPLATFORM\nFROM --platform=$BUILDPLATFORM scratch AS s\n{stage}\n"
    found = built(plans_of(f"{text}FROM scratch AS last\nCOPY --from=s / /\n"))
    assert [each for each in found if " last:" not in each] == expected
    assert [each for each in found if " last:" in each] == [f"{each} last: 1" for each in FOREIGN]


def test_stages_that_others_build_upon() -> None:
    """What is FROM, or copies from, a stage of its own for each platform is not shared either."""
    text = """\
FROM --platform=$BUILDPLATFORM scratch AS one
RUN a
FROM one AS two
RUN b
FROM --platform=$BUILDPLATFORM scratch AS own
ARG TARGETVARIANT
RUN c
FROM own AS upon
RUN d
FROM --platform=$BUILDPLATFORM scratch AS copies
RUN e
COPY --from=own / /
RUN f
FROM --platform=$BUILDPLATFORM scratch AS mounts
RUN --mount=from=own,target=/x g
FROM scratch AS last
COPY --from=two / /
COPY --from=upon / /
COPY --from=copies / /
COPY --from=mounts / /
"""
    names = [each.split(": ")[0].split()[-1] for each in built(plans_of(text))]
    times = {name: names.count(name) for name in ("one", "two", "own", "upon", "mounts")}
    assert times == {"one": 1, "two": 1, "own": 3, "upon": 3, "mounts": 3}
    assert names.count("copies") == 4  # what is before COPY, once, and the rest for each


def test_a_stage_in_two_parts() -> None:
    text = "FROM --platform=$BUILDPLATFORM scratch\nRUN a\nRUN b\nARG TARGETARCH\nRUN c\n"
    plans = plans_of(text)
    for each in plans:
        first, rest = each.plan.stages
        assert (len(first.instructions), first.before, first.after, first.continues) == (2, 0, 1, False)
        assert (len(rest.instructions), rest.before, rest.after, rest.continues) == (2, 2, 0, True)
        assert first.index in each.plan.shared
        assert rest.index == each.plan.target == 0
        assert each.plan.graph.nodes[rest.index].dependencies == {first.index}
        assert [stage.index for stage in each.whole.stages] == [0]
    assert len({each.keys[plans[0].plan.stages[0].index] for each in plans}) == 1
    assert [bool(each.plan.borrowed) for each in plans] == [False, True, True]


def test_a_single_snapshot_is_of_the_whole_stage() -> None:
    plans = plans_of("FROM --platform=$BUILDPLATFORM scratch\nRUN a\nARG TARGETARCH\nRUN c\n", single_snapshot=True)
    assert [len(each.plan.stages) for each in plans] == [1, 1, 1]


def test_a_build_arg_makes_them_alike() -> None:
    text = "FROM --platform=$BUILDPLATFORM scratch\nARG TARGETARCH\nRUN c\n"
    assert len(built(plans_of(text, TARGETARCH="same"))) == 1


def test_annotations() -> None:
    arm = Platform.parse("linux/arm64")
    given = {"a": "1", "index:b": "2", "index,manifest:c": "3", "manifest[linux/arm64]:d": "4", "x/y:e": "5"}
    assert annotations_of("manifest", given, arm) == {"a": "1", "c": "3", "d": "4", "x/y:e": "5"}
    assert annotations_of("manifest", given, Platform.parse("linux/386")) == {"a": "1", "c": "3", "x/y:e": "5"}
    assert annotations_of("index", given) == {"b": "2", "c": "3"}
    with pytest.raises(UsageError, match=r"--annotation manifest\[linux/foo\]:a: unknown platform"):
        annotations_of("manifest", {"manifest[linux/foo]:a": "1"}, arm)
