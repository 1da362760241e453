"""The cases are built side by side, as soon as the first of their tests is at its turn."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from _pytest.mark import ParameterSet
from support.builder import Builder, MakeBuilder
from support.docker_daemon import DockerDaemon
from support.in_place import lasting_containers
from support.listing import Image
from support.registry import LoopbackRegistry

from conformance.bases import debian_layer, push_bases
from conformance.builds import Built, Workshop
from conformance.case import Case, all_cases
from conformance.servers import web_server

COMBINATIONS = ("root-overlay", "root-walk", "user-overlay", "user-walk")
SYSTEMS = ("busybox", "debian")
"""What the bases are of that are unpacked over a container's own files."""
CASES = tuple(all_cases())


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test that asks for `case` and `combination` gets all of them; what is beyond the usual ones is marked.

    So does one that asks for `case` and `system`, whose builds are in place.
    """
    given = set(metafunc.fixturenames)
    if {"case", "combination"} <= given:
        pairs = [(case, each) for each in COMBINATIONS for case in CASES if not case.only or each in case.only]
        metafunc.parametrize(
            ("case", "combination"), [_param(case, each, _is_usual(case, each)) for case, each in pairs]
        )
    if {"case", "system"} <= given:
        pairs = [(case, each) for each in SYSTEMS for case in CASES]
        usual = SYSTEMS[0]
        metafunc.parametrize(
            ("case", "system"), [_param(case, each, case.sample and each == usual) for case, each in pairs]
        )


def _param(case: Case, other: str, usual: bool) -> ParameterSet:
    return pytest.param(case, other, id=f"{case.name}-{other}", marks=[] if usual else [pytest.mark.exhaustive])


def _is_usual(case: Case, combination: str) -> bool:
    return combination == COMBINATIONS[0] or case.sample or bool(case.only)


@pytest.fixture(scope="session")
def bases(registry: LoopbackRegistry, session_directory: Path) -> Mapping[str, Image]:
    """What is in the images that cases are FROM, by name."""
    return push_bases(registry, session_directory)


@pytest.fixture(scope="session")
def workshop(registry: LoopbackRegistry, bases: Mapping[str, Image], session_directory: Path) -> Iterator[Workshop]:
    directory = session_directory / "workshop"
    directory.mkdir()
    served = {f"{case.name}/{path}": attributes for case in CASES for path, attributes in case.served.items()}
    with web_server(served, directory / "repositories") as server:
        yield Workshop(registry=registry, server=server, directory=directory)


@pytest.fixture(scope="session")
def builders(make_builder: MakeBuilder, session_directory: Path) -> Callable[[str], Builder]:
    """The builder of a combination; each keeps one state directory for all its cases."""
    made: dict[str, Builder] = {}

    def builder(combination: str) -> Builder:
        if combination not in made:
            who, snapshotter = combination.split("-")
            made[combination] = make_builder(who, session_directory).with_environment(BUILDER_SNAPSHOTTER=snapshotter)
        return made[combination]

    return builder


@pytest.fixture(scope="session")
def build(
    request: pytest.FixtureRequest, workshop: Workshop, builders: Callable[[str], Builder]
) -> Iterator[Callable[[Case, str], Built]]:
    """A function that waits for a case's build. All that have been selected are started at once."""
    selected = _selected(request, "combination")
    for combination in dict.fromkeys(combination for _, combination in selected):
        builders(combination)
    jobs = [
        (case, combination, partial(workshop.build, case, builders(combination), combination))
        for case, combination in selected
    ]
    with _side_by_side(jobs) as wait:
        yield wait


def _selected(request: pytest.FixtureRequest, parameter: str) -> list[tuple[Case, str]]:
    """What the tests that are about to run, and have `parameter`, will ask for."""
    parameters = [item.callspec.params for item in request.session.items if hasattr(item, "callspec")]
    return [(each["case"], each[parameter]) for each in parameters if parameter in each]


@contextmanager
def _side_by_side(jobs: Sequence[tuple[Case, str, Callable[[], Built]]]) -> Iterator[Callable[[Case, str], Built]]:
    threads = ThreadPoolExecutor(max(2, os.cpu_count() or 1), thread_name_prefix="conformance")
    builds = {(case.name, other): threads.submit(job) for case, other, job in jobs}
    yield lambda case, other: builds[case.name, other].result()
    threads.shutdown(cancel_futures=True)


@pytest.fixture(scope="session")
def stalls(
    request: pytest.FixtureRequest, workshop: Workshop, session_directory: Path
) -> Iterator[Mapping[str, tuple[Workshop, Mapping[str, Image]]]]:
    """A workshop for each system that is needed, and what is in the bases that its registry has."""
    needed = {system for _, system in _selected(request, "system")}
    found = {}
    with ExitStack() as stack:
        if "busybox" in needed:
            found["busybox"] = workshop, request.getfixturevalue("bases")
        if "debian" in needed:
            registry = stack.enter_context(LoopbackRegistry())
            directory = session_directory / "on-debian"
            directory.mkdir()
            found["debian"] = replace(workshop, registry=registry), push_bases(registry, directory, [debian_layer()])
        yield found


@pytest.fixture(scope="session")
def build_in_place(
    request: pytest.FixtureRequest,
    stalls: Mapping[str, tuple[Workshop, Mapping[str, Image]]],
    docker: DockerDaemon,
    debug_in_docker: str,
    workshop: Workshop,
) -> Iterator[Callable[[Case, str], Built]]:
    """As `build`, in containers that each build some of the cases one after another."""
    count = max(2, os.cpu_count() or 1)
    with lasting_containers(docker, debug_in_docker, count, workshop.directory) as builder:
        jobs = [
            (case, system, partial(stalls[system][0].build, case, builder, f"in-place-{system}"))
            for case, system in _selected(request, "system")
        ]
        with _side_by_side(jobs) as wait:
            yield wait
