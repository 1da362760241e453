"""Each layer of a base is downloaded once a build, whatever the build does with it and wherever commands run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from _pytest.mark import ParameterSet
from support.bases import push_busybox
from support.builder import Builder
from support.docker_daemon import DockerDaemon
from support.registry import LoopbackRegistry

DOCKERFILES = {
    "copy": "FROM BASE\nCOPY Dockerfile /\n",
    "run": "FROM BASE\nRUN touch /made\n",
    "copy and run": "FROM BASE\nCOPY Dockerfile /\nRUN chmod 600 /etc/passwd\n",
    "run in two stages": "FROM BASE AS a\nRUN touch /made\nFROM BASE\nCOPY --from=a /made /\nRUN ls /made\n",
    "copy in one stage, run in the next": (
        "FROM BASE AS a\nCOPY Dockerfile /\nFROM BASE AS b\nCOPY --from=a /Dockerfile /\nRUN ls\n"
    ),
    "from an image": "FROM scratch\nCOPY --from=BASE /bin/busybox /\nCOPY --from=BASE /usr/lib /usr/lib\n",
    "from the base of a stage": (
        "FROM BASE AS a\nRUN touch /made\nFROM BASE\nCOPY --from=a /bin/busybox /usr/lib/first /\n"
    ),
}

USUAL = {
    ("copy and run", "walk"),
    ("from an image", "overlay"),
    ("run in two stages", "in place"),
    ("copy in one stage, run in the next", "in place"),
}


def combinations(*ways: str) -> list[ParameterSet]:
    """Every Dockerfile in each of these ways; the unusual ones are marked."""
    return [
        pytest.param(what, way, marks=[] if (what, way) in USUAL else [pytest.mark.exhaustive])
        for what in DOCKERFILES
        for way in ways
    ]


@pytest.fixture(scope="module")
def logging_registry() -> Iterator[LoopbackRegistry]:
    with LoopbackRegistry(access_log=True) as running:
        yield running


@pytest.fixture(scope="module")
def base(logging_registry: LoopbackRegistry, session_directory: Path) -> str:
    """An image whose third layer cannot be unpacked by itself."""
    return push_busybox(logging_registry, session_directory / "logged")["oci"]


def _downloads(registry: LoopbackRegistry, since: int) -> Counter[str]:
    asked = registry.requests("GET")[since:]
    return Counter(path.rpartition("/")[2] for path in asked if "/blobs/" in path)


@pytest.mark.parametrize(("what", "snapshotter"), combinations("overlay", "walk"))
def test_in_namespaces(
    what: str, snapshotter: str, root_builder: Builder, logging_registry: LoopbackRegistry, base: str, scratch: Path
) -> None:
    (scratch / "Dockerfile").write_text(DOCKERFILES[what].replace("BASE", base))
    before = len(logging_registry.requests("GET"))
    root_builder.with_environment(BUILDER_SNAPSHOTTER=snapshotter).build(scratch, "--no-push").ok()
    assert set(_downloads(logging_registry, before).values()) == {1}


@pytest.mark.parametrize(("what", "isolation"), combinations("in place"))
def test_in_place(
    what: str,
    isolation: str,
    docker: DockerDaemon,
    executor_in_docker: str,
    logging_registry: LoopbackRegistry,
    base: str,
    scratch: Path,
) -> None:
    (scratch / "Dockerfile").write_text(DOCKERFILES[what].replace("BASE", base))
    before = len(logging_registry.requests("GET"))
    arguments = ("--insecure-pull", "--no-push", f"--isolation={isolation.replace(' ', '-')}")
    docker.run(executor_in_docker, *arguments, files={scratch: "/workspace"}).ok()
    assert set(_downloads(logging_registry, before).values()) == {1}
