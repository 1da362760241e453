"""Dataclasses whose methods are compiled when they are called, and what a build has loaded when it forks."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

_LATE = """
import dataclasses
from builder.cli.startup import compile_methods_late
compiled = []
make = dataclasses._create_fn
def counted(name, *recipe, **more):
    compiled.append(name)
    return make(name, *recipe, **more)
counted.__name__ = make.__name__
dataclasses._create_fn = counted
compile_methods_late()
compile_methods_late()
from dataclasses import dataclass, field, replace, FrozenInstanceError

@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Point:
    x: int
    tags: list[str] = field(default_factory=list, compare=False)

@dataclass(frozen=True, slots=True, kw_only=True)
class Named(Point):
    name: str = "a"

assert compiled == [], compiled
one, other = Point(x=1), Point(x=2)
assert compiled == ["__init__"], compiled
assert repr(one) == "Point(x=1, tags=[])", repr(one)
assert one == Point(x=1) and one != other and one < other and one.tags is not other.tags
assert hash(one) == hash(Point(x=1)) and len({one, Point(x=1), other}) == 2
assert replace(one, x=5).x == 5
named = Named(x=3)
assert (named.x, named.name) == (3, "a") and repr(named) == "Named(x=3, tags=[], name='a')"
assert named != Point(x=3)
for change in (lambda: setattr(one, "x", 2), lambda: delattr(one, "x")):
    try:
        change()
    except FrozenInstanceError:
        continue
    raise AssertionError("a frozen instance was changed")
for wrong in ({}, {"x": 1, "y": 2}):
    try:
        Point(**wrong)
    except TypeError as error:
        assert "Point.__init__" in str(error), error
        continue
    raise AssertionError("wrong arguments were taken")
before = len(compiled)
Point(x=1), repr(one), hash(one), one == other
assert len(compiled) == before, compiled
"""


@pytest.mark.skipif(sys.version_info >= (3, 13), reason="dataclasses of this Python are compiled in another way")
def test_methods_of_dataclasses_are_compiled_when_they_are_called_and_behave_as_ever() -> None:
    done = subprocess.run([sys.executable, "-c", _LATE], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


_FORKED = """
import json, sys
import builder.cli.in_place
from builder.cli.main import main
choose, loaded = builder.cli.in_place.choose, []
def watched(*arguments):
    loaded.extend(sys.modules)
    return choose(*arguments)
builder.cli.in_place.choose = watched
status = main(sys.argv[1:])
print(json.dumps([status, loaded, sorted(sys.modules)]))
"""


@pytest.fixture(scope="module")
def modules(tmp_path_factory: pytest.TempPathFactory) -> tuple[set[str], set[str]]:
    """What a build of one COPY has loaded when it forks the helper for commands, and at its end."""
    context = tmp_path_factory.mktemp("context")
    (context / "Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /\n")
    command = ["build", f"--context={context}", "--no-push", f"--state-dir={context / 'state'}"]
    done = subprocess.run([sys.executable, "-c", _FORKED, *command], capture_output=True, text=True)
    status, forked, at_the_end = json.loads(done.stdout.splitlines()[-1])
    assert status == 0, done.stderr
    return set(forked), set(at_the_end)


def test_what_commands_are_forked_from_is_small(modules: tuple[set[str], set[str]]) -> None:
    forked, _ = modules
    assert "builder.isolation.namespace" in forked
    assert {"builder.engine.build", "builder.engine.stage_builder", "builder.rootfs.overlay", "urllib3"}.isdisjoint(
        forked
    )


def test_a_build_loads_only_what_it_uses(modules: tuple[set[str], set[str]]) -> None:
    _, loaded = modules
    unused = {"yaml", "cryptography", "zstandard", "asyncio", "tarfile", "difflib", "dulwich", "multiprocessing"}
    assert unused.isdisjoint(loaded)
    ours = {name for name in loaded if name.startswith("builder.")}
    parts = ("in_place.", "docker_archive", "remote_file", "cli.push", "cli.manifest", "azure", "_s3", "gcs")
    assert {name for name in ours if any(part in name for part in parts)} == set()
