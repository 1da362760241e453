"""What is built again when something changes: exactly what depends on it, and the log says why."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from support.builder import Builder, MakeBuilder
from support.caching import Told, told, with_cache
from support.contexts import write_context

TOOLS_RUN = "RUN echo tools > /tools"
TOOLS_COPY = "COPY tool.txt extra.txt /t/"
COPY_A = "COPY --chown=app a.txt /a"
RUN_A = "RUN cat /a > /ran-a"
COPY_TOOL = "COPY --from=tools /t/tool.txt /tool"
RUN_TOOL = "RUN --mount=type=secret,id=token cat /tool"
COPY_DIR = "COPY dir/ /dir/"
RUN_VERSION = "RUN echo built"
COPY_DOC = "COPY <<EOF /doc"
RUN_MOUNTED = "RUN --mount=type=bind,source=mounted,target=/m cat /m/* > /mounted"
RUN_FROM = "RUN --mount=type=bind,from=tools,source=/t/extra.txt,target=/e cat /e"
LINKED = "COPY --link linked.txt /linked"
WORKDIR = "WORKDIR /work"
RUN_USER = "RUN echo done > /tmp/done"

DOCKERFILE = f"""
ARG BASE
FROM $BASE AS tools
{TOOLS_RUN}
{TOOLS_COPY}

FROM $BASE
LABEL stage=main
{COPY_A}
{RUN_A}
{COPY_TOOL}
{RUN_TOOL}
{COPY_DIR}
ARG LATER
ARG VERSION=1
{RUN_VERSION}
ENV MODE=fast
COPY <<EOF /doc
text of the document
EOF
{RUN_MOUNTED}
{RUN_FROM}
{LINKED}
{WORKDIR}
USER 1000
{RUN_USER}
CMD ["sh"]
"""

MAIN = [
    COPY_A, RUN_A, COPY_TOOL, RUN_TOOL, COPY_DIR, RUN_VERSION, COPY_DOC,
    RUN_MOUNTED, RUN_FROM, LINKED, WORKDIR, RUN_USER,
]  # fmt: skip
TOOLS = [TOOLS_RUN, TOOLS_COPY]
FILES = {
    "Dockerfile": DOCKERFILE,
    ".dockerignore": "ignored\n",
    "a.txt": "a\n",
    "tool.txt": "tool\n",
    "extra.txt": "extra\n",
    "linked.txt": "linked\n",
    "dir/one": "one\n",
    "dir/two": "two\n",
    "dir/sub/three": "three\n",
    "mounted/file": "mounted\n",
    "elsewhere": "not copied\n",
    "ignored": "ignored\n",
}


def since(step: str) -> list[str]:
    """This step of the main stage and those after it; what is linked depends on nothing before it."""
    return [each for each in MAIN[MAIN.index(step) :] if each != LINKED or step == LINKED]


@dataclass(frozen=True, slots=True, kw_only=True)
class Workplace:
    """A context that has been built once."""

    builder: Builder
    context: Path
    bases: Mapping[str, str]

    def build(self, *flags: str, base: str = "base") -> Told:
        secret = f"--secret=id=token,src={self.context.with_name('token')}"
        return told(
            self.builder.build(self.context, "--no-push", f"--build-arg=BASE={self.bases[base]}", secret, *flags)
        )

    def at_time(self, seconds: int) -> Workplace:
        """The same with SOURCE_DATE_EPOCH."""
        return replace(self, builder=self.builder.with_environment(SOURCE_DATE_EPOCH=str(seconds)))

    def replace(self, old: str, new: str) -> None:
        dockerfile = self.context / "Dockerfile"
        text = dockerfile.read_text()
        assert old in text
        dockerfile.write_text(text.replace(old, new))


@pytest.fixture(scope="module")
def bases(busybox: Mapping[str, str], make_builder: MakeBuilder, session_directory: Path) -> Mapping[str, str]:
    """Bases that differ in one thing from the first."""
    builder = make_builder("user", session_directory)
    context = write_context(session_directory / "bases-of-the-matrix", {})
    found = {"base": busybox["oci"]}
    repository = busybox["oci"].rpartition(":")[0] + "-variant"
    for name, line in {"label": "LABEL other=label", "env": "ENV OTHER=1", "layer": "COPY Dockerfile /new"}.items():
        write_context(context, {"Dockerfile": f"FROM {busybox['oci']}\n{line}\n"})
        found[name] = f"{repository}:{name}"
        builder.build(context, f"--destination={found[name]}").ok()
    return found


@pytest.fixture(scope="module")
def built(make_builder: MakeBuilder, session_directory: Path, bases: Mapping[str, str]) -> Workplace:
    """The first build of all."""
    directory = write_context(session_directory / "matrix", {"token": "first-secret-value"})
    context = write_context(directory / "context", FILES)
    place = Workplace(builder=with_cache(make_builder("user", session_directory)), context=context, bases=bases)
    first = place.build()
    assert set(first.built.values()) == {"not built before"}
    assert not first.cached
    return place


@pytest.fixture
def place(built: Workplace) -> Workplace:
    """The context as it was built, files and all."""
    shutil.rmtree(built.context)
    write_context(built.context, FILES)
    write_context(built.context.parent, {"token": "first-secret-value"})
    return built


def written(name: str, text: str) -> Callable[[Workplace], object]:
    return lambda place: write_context(place.context, {name: text})


def edited(old: str, new: str) -> Callable[[Workplace], object]:
    return lambda place: place.replace(old, new)


def nothing(place: Workplace) -> None:
    return


def _mode(place: Workplace) -> None:
    (place.context / "dir/one").chmod(0o755)


def _renamed(place: Workplace) -> None:
    (place.context / "dir/one").rename(place.context / "dir/uno")


def _swapped(place: Workplace) -> None:
    write_context(place.context, {"dir/one": "two\n", "dir/two": "one\n"})


def _linked(place: Workplace) -> None:
    (place.context / "dir/one").unlink()
    (place.context / "dir/one").symlink_to("two")


def _hardlinked(place: Workplace) -> None:
    (place.context / "dir/two").unlink()
    os.link(place.context / "dir/one", place.context / "dir/two")


def _directory_mode(place: Workplace) -> None:
    (place.context / "dir/sub").chmod(0o775)


def _empty_directory(place: Workplace) -> None:
    (place.context / "dir/empty").mkdir()


def _mtimes(place: Workplace) -> None:
    for path in [place.context, *place.context.rglob("*")]:
        os.utime(path, (1_000_000_000, 1_000_000_000))


def _rewritten(place: Workplace) -> None:
    """The same files, which the filesystem may list in another order."""
    shutil.rmtree(place.context)
    write_context(place.context, dict(reversed(FILES.items())))


def _secret(place: Workplace) -> None:
    write_context(place.context.parent, {"token": "another-secret-value"})


def _stage_name(place: Workplace) -> None:
    place.replace("AS tools", "AS kit")
    place.replace("from=tools", "from=kit")


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A change, the steps that must be built for it, and what the log says of the first; `more` of others."""

    name: str
    built: Sequence[str] = ()
    why: str = ""
    make: Callable[[Workplace], object] = nothing
    flags: Sequence[str] = ()
    base: str = "base"
    more: Mapping[str, str] = field(default_factory=dict)


CHANGES = [
    Change(name="nothing"),
    Change(name="content", make=written("a.txt", "b\n"), built=since(COPY_A), why="context file a.txt changed"),
    Change(name="one-of-many", make=written("dir/sub/three", "3\n"), built=since(COPY_DIR),
           why="context file dir/sub/three changed"),
    Change(name="mode", make=_mode, built=since(COPY_DIR), why="context file dir/one changed"),
    Change(name="directory-mode", make=_directory_mode, built=since(COPY_DIR), why="context directory dir/sub changed"),
    Change(name="empty-directory", make=_empty_directory, built=since(COPY_DIR),
           why="context directory dir/empty is new"),
    Change(name="name", make=_renamed, built=since(COPY_DIR),
           why="context file dir/uno is new, context file dir/one is gone"),
    Change(name="swap", make=_swapped, built=since(COPY_DIR),
           why="context file dir/one changed, context file dir/two changed"),
    Change(name="symlink", make=_linked, built=since(COPY_DIR), why="context file dir/one changed"),
    Change(name="hardlink", make=_hardlinked, built=since(COPY_DIR), why="context file dir/two changed"),
    Change(name="new-file", make=written("dir/new", ""), built=since(COPY_DIR), why="context file dir/new is new"),
    Change(name="mtime", make=_mtimes),
    Change(name="order-of-directories", make=_rewritten),
    Change(name="file-not-copied", make=written("elsewhere", "changed\n")),
    Change(name="ignored-file", make=written("ignored", "changed\n")),
    Change(name="dockerignore", make=written(".dockerignore", "ignored\nnot-there\n")),
    Change(name="arg", flags=["--build-arg=VERSION=2"], built=since(RUN_VERSION), why="ARG VERSION changed"),
    Change(name="arg-without-default", flags=["--build-arg=LATER=1"], built=since(RUN_VERSION), why="ARG LATER is new"),
    Change(name="arg-not-declared", flags=["--build-arg=OTHER=2"]),
    Change(name="proxy", flags=["--build-arg=http_proxy=http://proxy.invalid:1"]),
    Change(name="env", make=edited("MODE=fast", "MODE=slow"), built=since(RUN_MOUNTED), why="ENV MODE changed"),
    Change(name="heredoc", make=edited("text of", "words of"), built=since(COPY_DOC), why="heredoc EOF changed"),
    Change(name="bind-mount", make=written("mounted/file", "changed\n"), built=since(RUN_MOUNTED),
           why="context file mounted/file changed"),
    Change(name="secret", make=_secret),
    Change(name="label", make=edited("stage=main", "stage=other")),
    Change(name="command", make=edited('CMD ["sh"]', 'CMD ["true"]')),
    Change(name="comment", make=edited("LABEL", "# a comment\nLABEL")),
    Change(name="user", make=edited("USER 1000", "USER 1001"), built=[RUN_USER], why="USER changed"),
    Change(name="workdir", make=edited("WORKDIR /work", "WORKDIR /works"), built=["WORKDIR /works", RUN_USER],
           why="instruction changed"),
    Change(name="shell", make=edited("USER 1000", 'SHELL ["/bin/sh", "-ec"]\nUSER 1000'), built=[RUN_USER],
           why="SHELL changed"),
    Change(name="chown", make=edited("--chown=app", "--chown=50"),
           built=["COPY --chown=50 a.txt /a", *since(RUN_A)], why="instruction changed"),
    Change(name="elsewhere-in-a-source", make=written("extra.txt", "changed\n"),
           built=[TOOLS_COPY, *since(RUN_FROM)], why="context file extra.txt changed",
           more={RUN_FROM: "file t/extra.txt of tools changed"}),
    Change(name="in-a-source", make=written("tool.txt", "changed\n"), built=[TOOLS_COPY, *since(COPY_TOOL)],
           why="context file tool.txt changed", more={COPY_TOOL: "file t/tool.txt of tools changed"}),
    Change(name="linked", make=written("linked.txt", "changed\n"), built=since(LINKED),
           why="context file linked.txt changed"),
    Change(name="name-of-a-stage", make=_stage_name),
    Change(name="label-of-the-base", base="label"),
    Change(name="env-of-the-base", base="env", built=[*TOOLS, *since(RUN_A)], why="ENV OTHER is new",
           more={RUN_A: "ENV OTHER is new"}),
    Change(name="layer-of-the-base", base="layer", built=[*TOOLS, *since(COPY_A)], why="base changed",
           more={COPY_A: "base changed", RUN_A: "earlier step changed"}),
    Change(name="no-cache", flags=["--no-cache"], built=[*TOOLS, *MAIN], why="--no-cache"),
    Change(name="no-cache-of-a-stage", flags=["--no-cache-filter=other,Tools"], built=TOOLS, why="--no-cache-filter"),
    Change(name="format", flags=["--compression=zstd"], built=[*TOOLS, *MAIN], why="format of layers changed"),
]  # fmt: skip


USUAL = {
    "nothing", "one-of-many", "mode", "swap", "symlink", "mtime", "ignored-file", "arg", "arg-not-declared", "env",
    "heredoc", "bind-mount", "secret", "label", "user", "elsewhere-in-a-source", "linked",
    "label-of-the-base", "env-of-the-base", "no-cache-of-a-stage", "format",
}  # fmt: skip


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(each, id=each.name, marks=[] if each.name in USUAL else [pytest.mark.exhaustive])
        for each in CHANGES
    ],
)
def test_exactly_what_must_be_built_again_is(place: Workplace, change: Change) -> None:
    again = place.build()
    assert not again.built, again.outcome.output
    change.make(place)
    found = place.build(*change.flags, base=change.base)
    assert sorted(found.built) == sorted(change.built), found.outcome.output
    if change.built:
        assert found.built[change.built[0]] == change.why
    assert {step: found.built[step] for step in change.more} == change.more
    assert set(found.cached.values()) <= {"local cache"}
