"""Global arguments: platform ARGs, and the ARGs before the first FROM."""

from __future__ import annotations

import pytest

from builder.dockerfile.errors import DockerfileError
from builder.dockerfile.parse import parse
from builder.dockerfile.syntax import Arg
from builder.engine.arguments import declare, global_arguments, platform_arguments
from builder.engine.scope import Scope
from builder.image.platform import Platform

ARM, AMD = Platform("linux", "arm", "v7"), Platform("linux", "amd64")


def test_platform_arguments() -> None:
    assert platform_arguments(ARM, AMD) == {
        "BUILDPLATFORM": "linux/amd64", "BUILDOS": "linux", "BUILDARCH": "amd64", "BUILDVARIANT": "",
        "TARGETPLATFORM": "linux/arm/v7", "TARGETOS": "linux", "TARGETARCH": "arm", "TARGETVARIANT": "v7",
    }  # fmt: skip


def arguments(text: str, build_args: dict[str, str] | None = None, stage: str = "") -> dict[str, str]:
    dockerfile = parse(text.encode() + b"\nFROM scratch\n", "Dockerfile")
    values = global_arguments(dockerfile, build_args or {}, ARM, AMD, stage)
    known = platform_arguments(ARM, AMD)
    return {name: value for name, value in values.items() if known.get(name) != value}


@pytest.mark.parametrize(
    ("text", "build_args", "expected"),
    [
        ("", {}, {"TARGETSTAGE": "default"}),
        ("ARG A=1", {}, {"A": "1", "TARGETSTAGE": "default"}),
        ("ARG A=1", {"A": "2"}, {"A": "2", "TARGETSTAGE": "default"}),
        ("ARG A", {}, {"TARGETSTAGE": "default"}),
        ("ARG A", {"A": "2"}, {"A": "2", "TARGETSTAGE": "default"}),
        ("ARG A=1 B=${A}2\nARG C=$B-$TARGETARCH", {}, {"A": "1", "B": "12", "C": "12-arm", "TARGETSTAGE": "default"}),
        ("ARG A=1\nARG A", {}, {"A": "1", "TARGETSTAGE": "default"}),
        ("ARG A=1\nARG A=${A}1", {}, {"A": "11", "TARGETSTAGE": "default"}),
        ("ARG TARGETARCH=s390x", {}, {"TARGETARCH": "s390x", "TARGETSTAGE": "default"}),
        ("", {"TARGETARCH": "s390x"}, {"TARGETARCH": "s390x", "TARGETSTAGE": "default"}),
        ("", {"UNDECLARED": "1"}, {"TARGETSTAGE": "default"}),
    ],
)
def test_global_arguments(text: str, build_args: dict[str, str], expected: dict[str, str]) -> None:
    assert arguments(text, build_args) == expected


def test_the_target_stage() -> None:
    assert arguments("", stage="release")["TARGETSTAGE"] == "release"


def test_an_expansion_that_fails() -> None:
    with pytest.raises(DockerfileError, match="needed"):
        arguments("ARG A=${B:?needed}")
    assert arguments("ARG A=${B:?needed}", {"A": "given"})["A"] == "given"


def test_declaring_in_a_stage() -> None:
    dockerfile = parse(b"FROM scratch\nARG A=1 B=${A}2 C D=${A}3\n", "Dockerfile")
    (arg,) = dockerfile.stages[0].instructions
    assert isinstance(arg, Arg)
    scope = Scope({"D": "flag"}, {"A": "global", "C": "global"})
    assert declare(arg, scope, "\\") == "ARG A=1 B=12 C=global D=flag"
    assert scope.environment() == {"A": "1", "B": "12", "C": "global", "D": "flag"}
