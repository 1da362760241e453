"""The cases are built side by side, as soon as the first of their tests is at its turn."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest
from conftest import MakeBuilder
from support.builder import Builder
from support.listing import Image
from support.registry import LoopbackRegistry

from conformance.bases import push_bases
from conformance.builds import Built, Workshop
from conformance.case import Case, all_cases
from conformance.servers import web_server

COMBINATIONS = ("root-overlay", "root-walk", "user-overlay", "user-walk")
CASES = tuple(all_cases())


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test that asks for `case` and `combination` gets all of them; what is beyond the usual ones is marked."""
    if {"case", "combination"} <= set(metafunc.fixturenames):
        metafunc.parametrize(
            ("case", "combination"),
            [
                pytest.param(case, combination, id=f"{case.name}-{combination}", marks=_marks(case, combination))
                for combination in COMBINATIONS
                for case in CASES
                if not case.only or combination in case.only
            ],
        )


def _marks(case: Case, combination: str) -> list[pytest.MarkDecorator]:
    usual = combination == COMBINATIONS[0] or case.sample or case.only
    return [] if usual else [pytest.mark.exhaustive]


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
    selected = [
        (item.callspec.params["case"], item.callspec.params["combination"])
        for item in request.session.items
        if "build" in getattr(item, "fixturenames", ()) and "combination" in item.callspec.params
    ]
    for combination in dict.fromkeys(combination for _, combination in selected):
        builders(combination)
    threads = ThreadPoolExecutor(max(2, os.cpu_count() or 1), thread_name_prefix="conformance")
    builds: dict[tuple[str, str], Future[Built]] = {
        (case.name, combination): threads.submit(workshop.build, case, builders(combination), combination)
        for case, combination in selected
    }
    yield lambda case, combination: builds[case.name, combination].result()
    threads.shutdown(cancel_futures=True)
