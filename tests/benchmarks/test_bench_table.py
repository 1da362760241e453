"""The table: five workloads with nothing from before, and one of them again with nothing changed."""

from __future__ import annotations

import pytest

from benchmarks.builders import Buildah, Builder, Ours
from benchmarks.report import Report
from benchmarks.workloads import COLD, RUNS, Workload
from benchmarks.yard import Yard

pytestmark = pytest.mark.timeout(3600)


@pytest.mark.parametrize("workload", COLD, ids=lambda workload: workload.name)
def test_cold(workload: Workload, yard: Yard, builders: list[Builder], runs: int, report: Report) -> None:
    context = workload.make(yard.directory / workload.name, yard.base)
    for _ in range(runs):
        for builder in builders:
            report.add("workloads", workload.name, builder.name, yard.cold(builder, context))


def test_cached(yard: Yard, ours: Ours, runs: int, buildah: bool, report: Report) -> None:
    context = RUNS.make(yard.directory / "cached", yard.base)
    builders: list[Builder] = [ours, Buildah(options=("--layers",))] if buildah else [ours]
    for builder in builders:
        try:
            yard.run(builder, context)
            for _ in range(runs):
                report.add("workloads", "cached", builder.name, yard.run(builder, context))
        finally:
            yard.clear()
