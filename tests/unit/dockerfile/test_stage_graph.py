"""Which stage builds on which, and which ones a target needs."""

import pytest

from builder.dockerfile.errors import DockerfileError
from builder.dockerfile.parse import parse, parse_instruction
from builder.dockerfile.stages import ImageBase, StageBase, StageGraph
from builder.errors import UsageError


def graph(text: str, **values: str) -> StageGraph:
    return StageGraph(parse(text, "Dockerfile"), values.get)


def needed(stages: StageGraph, *targets: str) -> list[int]:
    return [stage.index for stage in stages.needed(targets)]


CHAIN = """\
FROM debian AS Base
FROM base AS build
COPY --from=tools /t /t
FROM busybox AS tools
FROM alpine AS unused
COPY --from=build /x /x
FROM scratch
COPY --from=BUILD /x /x
RUN --mount=type=bind,from=other/image,target=/o --mount=type=cache,target=/c x
"""


def test_bases():
    stages = graph("FROM a\nFROM b AS x\nFROM X\nFROM y\nFROM c AS y\nFROM --platform=linux/$p y:$t", p="arm64", t="1")
    assert [node.base for node in stages.nodes] == [
        ImageBase("a"),
        ImageBase("b"),
        StageBase(1),
        ImageBase("y"),  # only a stage above is one
        ImageBase("c"),
        ImageBase("y:1", "linux/arm64"),
    ]


def test_a_stage_can_be_named_by_a_variable_and_like_its_own_base():
    assert graph("FROM a AS one\nFROM $which\nFROM b AS b\nFROM scratch AS scratch\nFROM scratch", which="ONE").nodes[
        1
    ].base == StageBase(0)
    nodes = graph("FROM b AS b\nFROM scratch AS scratch\nFROM scratch").nodes
    assert [node.base for node in nodes] == [ImageBase("b"), ImageBase("scratch"), StageBase(1)]


def test_dependencies_and_images():
    nodes = graph(CHAIN).nodes
    assert [sorted(node.dependencies) for node in nodes] == [[], [0, 2], [], [1], [1]]
    assert [sorted(node.images) for node in nodes] == [[], [], [], [], ["other/image"]]


@pytest.mark.parametrize(
    ("targets", "indexes"),
    [
        ((), [0, 2, 1, 4]),
        (("build",), [0, 2, 1]),
        (("Tools",), [2]),
        (("unused", "base"), [0, 2, 1, 3]),
        (("tools", "4"), [2, 0, 1, 4]),
        (("0",), [0]),
    ],
)
def test_only_what_a_target_needs(targets, indexes):
    assert needed(graph(CHAIN), *targets) == indexes


@pytest.mark.parametrize(
    ("target", "hint"),
    [
        ("biuld", "did you mean build?"),
        ("5", "stages: base, build, tools, unused"),
        ("nothing-like-it", "stages: base"),
    ],
)
def test_a_target_that_is_no_stage(target, hint):
    with pytest.raises(UsageError, match=f"target stage '{target}' could not be found in Dockerfile") as caught:
        graph(CHAIN).needed([target])
    assert caught.value.hint.startswith(hint)


def test_a_target_where_no_stage_has_a_name():
    with pytest.raises(UsageError) as caught:
        graph("FROM a\nFROM b").target("x")
    assert caught.value.hint == "stages: none has a name; numbers go from 0 to 1"


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("build", StageBase(1)),
        ("BASE", StageBase(0)),
        ("3", StageBase(3)),
        ("5", ImageBase("5")),
        ("nope", ImageBase("nope")),
        ("scratch", ImageBase("scratch")),
        ("٣", ImageBase("٣")),
    ],
)
def test_sources(name, source):
    assert graph(CHAIN).source(name) == source


def test_of_stages_with_one_name_from_takes_the_nearest_above_and_copy_the_last():
    stages = graph("FROM a AS x\nFROM x AS y\nCOPY --from=x a b\nFROM b AS x\nFROM x")
    assert stages.nodes[1].base == StageBase(0)
    assert stages.nodes[1].dependencies == {0, 2}
    assert stages.nodes[3].base == StageBase(2)
    assert stages.target("x").index == 2


@pytest.mark.parametrize(
    ("text", "place", "circle"),
    [
        ("FROM a AS x\nCOPY --from=x a b", (2, 8), "x -> x"),
        ("FROM a\nRUN --mount=from=0,target=/x y", (2, 13), "stage 0 -> stage 0"),
        ("FROM a AS x\nCOPY --from=y a b\nFROM x AS y", (2, 8), "x -> y -> x"),
        ("FROM a AS x\nCOPY --from=z a b\nFROM x AS y\nFROM q AS z\nCOPY --from=1 a b", (2, 8), "x -> z -> y -> x"),
        ("FROM a\nFROM b AS c\nRUN --mount=from=d,target=/x x\nFROM c AS d\nFROM e", (3, 13), "c -> d -> c"),
    ],
)
def test_a_circle(text, place, circle):
    with pytest.raises(DockerfileError) as caught:
        graph(text)
    assert caught.value.reason == f"circular dependency of stages: {circle}"
    assert (caught.value.line, caught.value.column) == place


@pytest.mark.parametrize("index", ["1", "99", "-1"])
def test_a_stage_number_that_does_not_exist(index):
    with pytest.raises(DockerfileError) as caught:
        graph(f"FROM a\nCOPY --from={index} a b")
    assert caught.value.reason == f"invalid stage index {index}"
    assert (caught.value.line, caught.value.column) == (2, 8)


def test_a_from_that_expands_to_nothing():
    with pytest.raises(DockerfileError, match=r"Dockerfile:2:6: base name \(\$x\) should not be blank"):
        graph("ARG x\nFROM $x")


LOCAL = "FROM a AS x\nONBUILD COPY --from=later a b\nONBUILD RUN c\nFROM x AS y\nFROM y\nFROM b AS later"


def test_triggers_of_a_local_stage_run_in_those_based_on_it_and_no_further():
    nodes = graph(LOCAL).nodes
    assert [[item.text for item in node.triggers] for node in nodes] == [[], ["COPY --from=later a b", "RUN c"], [], []]
    assert nodes[1].dependencies == {0, 3}
    assert nodes[1].triggers[0].location.line == 4
    assert [item.keyword for item in nodes[1].instructions] == ["COPY", "RUN"]
    assert needed(graph(LOCAL), "2") == [0, 3, 1, 2]


def test_triggers_of_an_image_add_what_they_copy_from():
    stages = graph("FROM tools AS t\nFROM base\nRUN x")
    assert needed(stages) == [1]
    trigger = parse_instruction("COPY --from=t a b", stages.nodes[1].stage.base.location, "\\")
    added = stages.with_triggers(1, [trigger])
    assert needed(added) == [0, 1]
    assert added.nodes[1].instructions[0] == trigger
    assert needed(stages) == [1]
    circle = parse_instruction("COPY --from=1 a b", stages.nodes[1].stage.base.location, "\\")
    with pytest.raises(DockerfileError, match="circular dependency of stages: stage 1 -> stage 1"):
        stages.with_triggers(1, [circle])


def test_a_long_chain_of_stages():
    text = "FROM a AS s0\n" + "".join(f"FROM s{index} AS s{index + 1}\n" for index in range(1500))
    assert len(graph(text).needed()) == 1501
