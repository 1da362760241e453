"""Options and fixtures of the benchmarks. They are run by name alone (``make bench``), never among the tests."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.registry import LoopbackRegistry

from benchmarks.base import push_base
from benchmarks.builders import Buildah, Builder, Ours, install
from benchmarks.report import Report
from benchmarks.yard import Yard


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("benchmarks")
    group.addoption("--runs", type=int, default=3, help="how often each workload is run by each builder")
    group.addoption("--no-buildah", "--only-ours", action="store_true", help="run nothing but the builder")
    group.addoption("--write", action="store_true", help="write what is complete to docs/performance.md")


@pytest.fixture(scope="session")
def runs(pytestconfig: pytest.Config) -> int:
    return int(pytestconfig.getoption("--runs"))


@pytest.fixture(scope="session")
def buildah(pytestconfig: pytest.Config) -> bool:
    """Whether Buildah is run, too."""
    return not pytestconfig.getoption("--no-buildah")


@pytest.fixture(scope="session")
def ours(yard: Yard) -> Ours:
    """The builder as the work tree has it now; edits of it while the benchmarks run do not count."""
    return Ours(installed=install(yard.directory / "installed"))


@pytest.fixture(scope="session")
def builders(ours: Ours, buildah: bool) -> list[Builder]:
    """Those that are compared, in the order in which they take turns."""
    return [ours, Buildah()] if buildah else [ours]


@pytest.fixture(scope="session")
def report(pytestconfig: pytest.Config, runs: int, yard: Yard) -> Iterator[Report]:
    """Takes the figures; says them at the end, and writes them where that was asked for."""
    reporter = pytestconfig.pluginmanager.get_plugin("terminalreporter")
    capture = pytestconfig.pluginmanager.get_plugin("capturemanager")
    assert reporter is not None and capture is not None

    def say(text: str) -> None:
        with capture.global_and_fixture_disabled():
            reporter.ensure_newline()
            reporter.write_line(text)

    report = Report(runs=runs, directory=yard.directory, say=say)
    yield report
    say(f"\n{report.text()}\n")
    if pytestconfig.getoption("--write"):
        say(f"written: {', '.join(report.write()) or 'nothing, as no section is complete'}")


@pytest.fixture(scope="session")
def yard() -> Iterator[Yard]:
    if os.getuid() != 0:
        pytest.skip("needs root: debootstrap, and overlays for Buildah")
    directory = Path(tempfile.mkdtemp(prefix="benchmarks-", dir="/var/tmp"))
    with LoopbackRegistry() as registry:
        base = push_base(registry)
        layers = registry.manifest("base/tools", "bookworm")["layers"]
        yard = Yard(
            registry=registry,
            base=base,
            base_layers=frozenset(each["digest"] for each in layers),
            directory=directory,
        )
        try:
            yield yard
        finally:
            yard.clear()
            shutil.rmtree(directory)
