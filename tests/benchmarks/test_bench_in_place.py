"""In place, beside namespaces: the builder in its own image, in containers of the real Docker Engine."""

from __future__ import annotations

import pytest
from support.docker_daemon import DockerDaemon

from benchmarks.builders import Ours
from benchmarks.in_place import InPlace
from benchmarks.report import Report
from benchmarks.workloads import COLD, Workload
from benchmarks.yard import Yard

pytestmark = pytest.mark.timeout(3600)


@pytest.fixture(scope="module")
def in_place(docker: DockerDaemon, executor_in_docker: str, yard: Yard) -> InPlace:
    return InPlace(daemon=docker, image=executor_in_docker, directory=yard.directory)


@pytest.mark.parametrize("workload", COLD, ids=lambda workload: workload.name)
def test_in_place(workload: Workload, yard: Yard, ours: Ours, in_place: InPlace, runs: int, report: Report) -> None:
    context = workload.make(yard.directory / f"{workload.name}-in-place", yard.base)
    for _ in range(runs):
        report.add("in-place", workload.name, ours.name, yard.cold(ours, context))
        report.add("in-place", workload.name, in_place.name, yard.cold(in_place, context))
