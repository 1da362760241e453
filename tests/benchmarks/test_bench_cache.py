"""A Dockerfile of twenty steps again, with nothing changed: from what the machine kept, and from a registry."""

from __future__ import annotations

import pytest

from benchmarks.builders import Buildah, Builder, Ours
from benchmarks.report import Report
from benchmarks.section_cache import LOCAL, REGISTRY
from benchmarks.workloads import TWENTY
from benchmarks.yard import CACHE, Yard

pytestmark = pytest.mark.timeout(3600)


@pytest.fixture
def cachers(ours: Ours, buildah: bool) -> list[Builder]:
    """Those that keep layers."""
    return [ours, Buildah(options=("--layers",))] if buildah else [ours]


def test_local_cache(yard: Yard, cachers: list[Builder], runs: int, report: Report) -> None:
    context = TWENTY.make(yard.directory / "twenty-local", yard.base)
    for builder in cachers:
        try:
            yard.run(builder, context)
            for _ in range(runs):
                report.add("cache", LOCAL, builder.name, yard.run(builder, context))
        finally:
            yard.clear()


def test_registry_cache(yard: Yard, cachers: list[Builder], runs: int, report: Report) -> None:
    context = TWENTY.make(yard.directory / "twenty-registry", yard.base)
    place = yard.registry.reference(f"{CACHE}/twenty")
    for builder in cachers:
        flags = [f"--cache-from={place}", f"--cache-to={place}"]
        if isinstance(builder, Ours):
            flags = ["--cache", "--cache-copy-layers", f"--cache-repo={place}"]
        try:
            yard.run(builder, context, *flags)
            for _ in range(runs):
                yard.forget()
                report.add("cache", REGISTRY, builder.name, yard.run(builder, context, *flags))
        finally:
            yard.clear()
