"""What is built again when something changes that is copied or mounted in one of the rarer ways."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest
from support.builder import MakeBuilder
from support.caching import with_cache
from support.contexts import write_context
from test_cache_matrix import Change, Workplace, bases, edited, written

__all__ = ["bases"]

GLOB = "COPY globs/*.txt /globs/"
EXCLUDE = "COPY --exclude=*.log --exclude=deep/no tree/ /tree/"
PARENTS = "COPY --parents parents/./a/b/file /parents/"
CHMOD = "COPY --chmod=600 plain /chmod"
LINK_CHMOD = "COPY --link --chmod=640 plain /link-chmod"
LINK_NAMED = "COPY --link --chown=app named /link-named"
POINTED = "COPY pointer /pointed"
ADDED = "ADD archive.tar /archive/"
RUN_ONE = "RUN --mount=type=cache,id=one,target=/c --mount=type=tmpfs,target=/t,size=1048576 true"
RUN_SECRET = "RUN --mount=type=secret,id=token,env=TOKEN true"
RUN_IMAGE = "RUN --mount=type=bind,from=other,source=/etc,target=/o true"
FROM_IMAGE = "COPY --from=other /etc/passwd /passwd"
RUN_EXEC = 'RUN ["true"]'
RUN_HEREDOC = "RUN <<EOF"
LAST = "RUN --network=none echo last"

DOCKERFILE = f"""
ARG BASE
ARG OTHER
FROM $OTHER AS other
FROM $BASE
{GLOB}
{EXCLUDE}
{PARENTS}
{CHMOD}
{LINK_CHMOD}
{LINK_NAMED}
{POINTED}
{ADDED}
{RUN_ONE}
{RUN_SECRET}
{RUN_IMAGE}
{FROM_IMAGE}
HEALTHCHECK --interval=10s CMD true
ENV USED=1
{RUN_EXEC}
SHELL ["/bin/sh", "-c"]
{RUN_HEREDOC}
echo first
EOF
USER app
{LAST}
"""
STEPS = [
    GLOB, EXCLUDE, PARENTS, CHMOD, LINK_CHMOD, LINK_NAMED, POINTED, ADDED, RUN_ONE, RUN_SECRET, RUN_IMAGE, FROM_IMAGE,
    RUN_EXEC, RUN_HEREDOC, LAST,
]  # fmt: skip
FILES = {
    "Dockerfile": DOCKERFILE,
    ".dockerignore": "**/*.ignored\n",
    "globs/one.txt": "1",
    "globs/two.md": "2",
    "tree/kept": "kept",
    "tree/x.log": "x",
    "tree/deep/no/file": "no",
    "parents/a/b/file": "file",
    "parents/a/other": "other",
    "plain": "plain",
    "named": "named",
    "target": "target",
    "another": "target",
    "archive.tar": b"\0" * 10240,
}


def since(step: str, *, but: str = "", instead: str = "") -> list[str]:
    found = [instead if instead and each == step else each for each in STEPS[STEPS.index(step) :]]
    return [each for each in found if each != but]


def _context(place: Path) -> None:
    write_context(place, FILES)
    (place / "pointer").unlink(missing_ok=True)
    (place / "pointer").symlink_to("target")


@pytest.fixture(scope="module")
def built(make_builder: MakeBuilder, session_directory: Path, bases: Mapping[str, str]) -> Workplace:
    directory = write_context(session_directory / "matrix-of-files", {"token": "first-secret-value"})
    _context(directory / "context")
    place = Workplace(
        builder=with_cache(make_builder("root" if os.getuid() == 0 else "user", session_directory)),
        context=directory / "context",
        bases=bases,
    )
    first = place.build(f"--build-arg=OTHER={bases['base']}")
    assert not first.cached
    assert set(first.built) == set(STEPS)
    return place


@pytest.fixture
def place(built: Workplace) -> Workplace:
    shutil.rmtree(built.context)
    _context(built.context)
    write_context(built.context.parent, {"token": "first-secret-value"})
    return built


def _moved(place: Workplace) -> None:
    (place.context / "tree/deep").rename(place.context / "tree/depth")


def _pointed_elsewhere(place: Workplace) -> None:
    """At another file of the same content: what is copied is the same."""
    (place.context / "pointer").unlink()
    (place.context / "pointer").symlink_to("another")


def _pointed_at_others(place: Workplace) -> None:
    _pointed_elsewhere(place)
    write_context(place.context, {"another": "something else"})


def _no_pointer(place: Workplace) -> None:
    (place.context / "pointer").unlink()
    write_context(place.context, {"pointer": "target"})


def _retargeted(place: Workplace) -> None:
    (place.context / "tree/kept").unlink()
    (place.context / "tree/kept").symlink_to("x.log")


def _capability(place: Workplace) -> None:
    # cap_net_bind_service=ep, as setcap writes it
    value = bytes.fromhex("0100000200040000000000000000000000000000")
    try:
        os.setxattr(place.context / "tree/kept", "security.capability", value)
    except OSError as error:
        pytest.skip(f"this machine gives files no capabilities: {error.strerror}")


def _mode_of(name: str, mode: int) -> object:
    return lambda place: (place.context / name).chmod(mode)


CHANGES = [
    Change(name="a-file-that-the-glob-names", make=written("globs/new.txt", ""), built=since(GLOB),
           why="context file globs/new.txt is new"),
    Change(name="a-file-that-it-does-not", make=written("globs/new.md", "")),
    Change(name="a-file-that-is-excluded", make=written("tree/x.log", "changed")),
    Change(name="a-new-file-that-is-excluded", make=written("tree/deep/no/new", "new")),
    Change(name="a-file-that-is-ignored", make=written("tree/new.ignored", "new")),
    Change(name="no-longer-ignored", make=lambda place: write_context(
           place.context, {"tree/new.ignored": "", ".dockerignore": "**/*.other\n"}), built=since(EXCLUDE),
           why="context file tree/new.ignored is new"),
    Change(name="a-directory-moved", make=_moved, built=since(EXCLUDE)),
    Change(name="a-file-becomes-a-link", make=_retargeted, built=since(EXCLUDE),
           why="context file tree/kept changed"),
    Change(name="a-capability", make=_capability, built=since(EXCLUDE), why="context file tree/kept changed"),
    Change(name="mode-of-a-parent", make=_mode_of("parents/a", 0o700), built=since(PARENTS),
           why="context directory parents/a changed"),
    Change(name="beside-a-parent", make=written("parents/a/other", "changed")),
    Change(name="above-the-pivot", make=_mode_of("parents", 0o700)),
    Change(name="a-mode-that-is-set-anyway", make=_mode_of("plain", 0o755)),
    Change(name="chmod", make=edited("--chmod=600", "--chmod=601"),
           built=since(CHMOD, instead=CHMOD.replace("600", "601")), why="instruction changed"),
    Change(name="a-link-to-the-same", make=_pointed_elsewhere),
    Change(name="a-link-to-something-else", make=_pointed_at_others, built=since(POINTED)),
    Change(name="a-file-instead-of-the-link", make=_no_pointer),
    Change(name="an-archive", make=written("archive.tar", "no archive any more"), built=since(ADDED),
           why="context file archive.tar changed"),
    Change(name="id-of-a-cache", make=edited("id=one", "id=two"),
           built=since(RUN_ONE, instead=RUN_ONE.replace("one", "two")), why="instruction changed"),
    Change(name="size-of-a-tmpfs", make=edited("1048576", "2097152"),
           built=since(RUN_ONE, instead=RUN_ONE.replace("1048576", "2097152")), why="instruction changed"),
    Change(name="value-of-a-secret", make=lambda place: write_context(place.context.parent, {"token": "other-value"})),
    Change(name="variable-of-a-secret", make=edited("env=TOKEN", "env=KEY"),
           built=since(RUN_SECRET, instead=RUN_SECRET.replace("TOKEN", "KEY")), why="instruction changed"),
    Change(name="healthcheck", make=edited("interval=10s", "interval=20s")),
    Change(name="variable-of-all-that-follows", make=edited("USED=1", "USED=2"), built=since(RUN_EXEC),
           why="ENV USED changed"),
    Change(name="shell-of-a-heredoc", make=edited('"-c"', '"-ec"'), built=since(RUN_HEREDOC), why="SHELL changed"),
    Change(name="body-of-a-heredoc", make=edited("echo first", "echo second"), built=since(RUN_HEREDOC),
           why="heredoc EOF changed"),
    Change(name="network", make=edited("--network=none", "--network=default"),
           built=[LAST.replace("none", "default")]),
    Change(name="argument-before-its-declaration", flags=["--build-arg=LATE=1"],
           make=edited("USER app", "USER app\nARG LATE"), built=[LAST], why="ARG LATE is new"),
    Change(name="argument-of-an-expansion", make=edited("USER app", "ARG WHO=app\nUSER $WHO"), built=[LAST],
           why="ARG WHO is new"),
    Change(name="label-of-an-image-that-is-copied-from", flags=["--build-arg=OTHER=label"]),
    Change(name="env-of-an-image-that-is-copied-from", flags=["--build-arg=OTHER=env"]),
    Change(name="an-image-that-is-copied-from-with-the-same-files-there", flags=["--build-arg=OTHER=layer"]),
    Change(name="time", flags=["SOURCE_DATE_EPOCH"], built=STEPS, why="format of layers changed"),
    Change(name="attestation-and-labels", flags=["--label=a=b", "--annotation=c=d"]),
    Change(name="level", flags=["--compression-level=9"], built=STEPS, why="format of layers changed"),
]  # fmt: skip
USUAL = {"a-file-that-the-glob-names", "a-file-that-is-excluded", "env-of-an-image-that-is-copied-from"}  # fmt: skip


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(each, id=each.name, marks=[] if each.name in USUAL else [pytest.mark.exhaustive])
        for each in CHANGES
    ],
)
def test_exactly_what_must_be_built_again_is(place: Workplace, change: Change) -> None:
    flags = [each for each in change.flags if each != "SOURCE_DATE_EPOCH"]
    others = [place.bases[each.rpartition("=")[2]] for each in flags if each.startswith("--build-arg=OTHER=")]
    flags = [each for each in flags if not each.startswith("--build-arg=OTHER=")]
    usual = f"--build-arg=OTHER={place.bases['base']}"
    again = place.build(usual)
    assert not again.built, again.outcome.output
    change.make(place)
    if len(flags) < len(change.flags) and not others:
        place = place.at_time(1_700_000_000)
    found = place.build(*flags, *(f"--build-arg=OTHER={each}" for each in others or [place.bases["base"]]))
    assert sorted(found.built) == sorted(change.built), found.outcome.output
    if change.why:
        assert found.built[change.built[0]] == change.why
