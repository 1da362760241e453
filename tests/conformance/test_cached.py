"""Every case built twice with the cache of the machine on: the second image, from the cache, is the case's too."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from support.builder import MakeBuilder
from support.caching import told, with_cache
from support.listing import Image

from conformance.builds import Built, Workshop
from conformance.case import Case
from conformance.checks import check
from conformance.conftest import CASES

pytestmark = pytest.mark.exhaustive
BUILDABLE = [case for case in CASES if not case.error and not (case.only and "root-overlay" not in case.only)]


@pytest.fixture(scope="module")
def again(
    workshop: Workshop, make_builder: MakeBuilder, session_directory: Path
) -> Iterator[Callable[[Case], tuple[Built, Built]]]:
    """Both builds of a case. Each case has a state of its own: what another one has stored does not count."""
    first = with_cache(make_builder("root", session_directory))

    def build(case: Case) -> tuple[Built, Built]:
        builder = replace(first, state=session_directory / f"state-of-{case.name.replace('/', '-')}")
        return workshop.build(case, builder, "uncached"), workshop.build(case, builder, "cached")

    with ThreadPoolExecutor(max(2, os.cpu_count() or 1)) as threads:
        builds = {case.name: threads.submit(build, case) for case in BUILDABLE}
        yield lambda case: builds[case.name].result()
        threads.shutdown(cancel_futures=True)


@pytest.mark.parametrize("case", BUILDABLE, ids=lambda case: case.name)
def test_from_the_cache(
    case: Case, again: Callable[[Case], tuple[Built, Built]], bases: Mapping[str, Image], workshop: Workshop
) -> None:
    first, second = again(case)
    check(case, first, bases, workshop)
    check(replace(case, output=()), second, bases, workshop)  # no command has run that could say anything
    assert told(second.outcome).built.keys() <= {"WORKDIR /"}  # which makes no layer
