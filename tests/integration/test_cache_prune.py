"""``builder prune`` and ``du``, beside builds."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest
from support.builder import Builder, Outcome
from support.contexts import MakeContext
from support.leftovers import nothing_left
from support.listing import list_archive


@pytest.fixture
def keeping(builder: Builder) -> Builder:
    """The builder where it is no CI's: it keeps layers."""
    return builder.with_environment(CI="")


@pytest.fixture
def keeping_user(user_builder: Builder) -> Builder:
    return user_builder.with_environment(CI="")


def du(builder: Builder) -> dict[str, int]:
    """How many things of each kind there are."""
    found: dict[str, int] = {}
    for item in json.loads(builder.run("du", "--format=json").ok().stdout):
        found[item["kind"]] = found.get(item["kind"], 0) + 1
    return found


def test_what_a_build_has_left_is_told_and_removed(
    keeping: Builder, make_context: MakeContext, busybox: dict[str, str]
) -> None:
    """Files of other owners and directories that are closed, too."""
    lines = [
        f"FROM {busybox['oci']}",
        "RUN mkdir -m 0 /closed && touch /file && chown 1234:1234 /file /closed",
        "RUN --mount=type=cache,target=/c touch /c/x && chown 77 /c/x && cat /file",
    ]
    context = make_context({"Dockerfile": "\n".join(lines) + "\n"})
    keeping.build(context, "--no-push").ok()
    assert du(keeping).keys() == {"blobs", "layers", "records", "mounts"}
    with nothing_left(keeping.state):
        table = keeping.run("du").ok().stdout
        assert [line.split()[0] for line in table.splitlines()] == [
            "KIND", "blobs", "unpacked", "cache", "cache", "scratch", "total",
        ]  # fmt: skip
        assert keeping.run("prune").ok().stdout == "Total reclaimed space: 0B\n"
        assert keeping.run("prune", "--older-than=1d").ok().stdout == "Total reclaimed space: 0B\n"
        assert "Total reclaimed space: " in keeping.run("prune", "--all", "--force").ok().stdout
    assert du(keeping) == {}
    again = keeping.build(context, "--no-push").ok()
    assert "CACHED" not in again.stderr


def test_a_limit(keeping_user: Builder, make_context: MakeContext, busybox: dict[str, str]) -> None:
    context = make_context({"Dockerfile": f"FROM {busybox['oci']}\nRUN echo 1 > /1\n"})
    keeping_user.build(context, "--no-push").ok()
    keeping_user.run("prune", "--keep-storage=1GB").ok()
    assert "CACHED" in keeping_user.build(context, "--no-push").ok().stderr
    keeping_user.run("prune", "--keep-storage=0").ok()
    assert du(keeping_user) == {}


def test_what_a_running_build_uses_stays(
    keeping: Builder, make_context: MakeContext, busybox: dict[str, str], scratch: Path
) -> None:
    """It stands still while all else is removed, and then goes on upon what it had unpacked and built before."""
    other = make_context({"Dockerfile": f"FROM {busybox['zstd']}\nRUN echo other > /other\n"})
    keeping.build(other, "--no-push").ok()
    before = len(json.loads(keeping.run("du", "--format=json").ok().stdout))
    lines = [
        f"FROM {busybox['oci']}",
        "RUN echo one > /one",
        "RUN --mount=type=cache,target=/c touch /c/begun && until test -e /c/go; do sleep 0.05; done",
        "RUN cat /one /bin/busybox > /two",
    ]
    context = make_context({"Dockerfile": "\n".join(lines) + "\n"})
    archive = scratch / "image.tar"
    running = keeping.start(*keeping.build_arguments(context), "--no-push", f"--tar-path={archive}")
    running.wait_until(lambda: bool(mounted(keeping, "begun")), "the command runs")
    keeping.run("prune", "--all").ok()
    left = json.loads(keeping.run("du", "--format=json").ok().stdout)
    assert all(item["in_use"] for item in left), left
    assert {item["kind"] for item in left} >= {"layers", "mounts", "scratch"}
    assert before
    (mounted(keeping, "begun")[0].parent / "go").touch()
    running.finish(timeout=120).ok()
    assert list_archive(archive).files["two"].size > 4
    keeping.run("prune", "--all").ok()
    assert du(keeping) == {}


def mounted(builder: Builder, name: str) -> list[Path]:
    return list(builder.state.glob(f"mounts/*/*/root/{name}"))


@pytest.mark.exhaustive
def test_builds_and_prunes_at_random(
    keeping: Builder, make_context: MakeContext, busybox: dict[str, str], scratch: Path
) -> None:
    """Nothing that is removed is missed by anybody."""
    outcomes: list[Outcome] = []

    def build(number: int) -> None:
        for turn in range(4):
            lines = [
                f"FROM {busybox['oci']}",
                f"RUN echo {turn % 2} > /a",
                f"RUN echo {number} > /b",
                "RUN cat /a /b > /c",
            ]
            context = make_context({"Dockerfile": "\n".join(lines) + "\n"})
            archive = scratch / f"{number}-{turn}.tar"
            outcomes.append(keeping.build(context, "--no-push", f"--tar-path={archive}"))
            assert list_archive(archive).text("c") == f"{turn % 2}\n{number}\n"

    threads = [threading.Thread(target=build, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        keeping.run("prune", "--all").ok()
    for thread in threads:
        thread.join()
    assert len(outcomes) == 12
    for outcome in outcomes:
        outcome.ok()
        assert "warning" not in outcome.stderr, outcome.output
