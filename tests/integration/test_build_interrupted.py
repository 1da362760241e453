"""SIGINT and SIGTERM in the middle of a pull, a command and a push; and a disk that is full."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.bases import push_layout
from support.builder import Builder
from support.contexts import MakeContext
from support.images import Blob, Item, OciLayout, layer
from support.leftovers import nothing_left, processes_named, processes_using
from support.listing import host_architecture
from support.registry import LoopbackRegistry
from support.stalling_proxy import StallingProxy

# A service manager signals the process, a terminal the whole group.
SIGNALS = [(signal.SIGTERM, False), (signal.SIGINT, True)]
signals = pytest.mark.parametrize(("number", "group"), SIGNALS, ids=["SIGTERM", "SIGINT"])


@signals
def test_pull(
    builder: Builder,
    registry: LoopbackRegistry,
    busybox: dict[str, str],
    make_context: MakeContext,
    repository: str,
    number: signal.Signals,
    group: bool,
) -> None:
    with StallingProxy(registry.port, "download", after=300_000) as proxy:
        base = busybox["oci"].replace(registry.host, proxy.host)
        context = make_context({"Dockerfile": f"FROM {base}\nRUN true\n"})
        destination = f"--destination={registry.reference(repository)}:1"
        with nothing_left(builder.state, context):
            running = builder.start(*builder.build_arguments(context), destination)
            running.wait_until(proxy.stalled.is_set, "the download has begun")
            running.interrupt(number, group=group)
            running.finish(timeout=20).failed(number.name, status=128 + number)
    assert registry.tags(repository) == []


@signals
def test_run(
    builder: Builder,
    registry: LoopbackRegistry,
    busybox: dict[str, str],
    make_context: MakeContext,
    repository: str,
    number: signal.Signals,
    group: bool,
) -> None:
    """Also where the command ignores the signal and has left a process in the background."""
    command = "trap '' INT TERM; sleep 1001 & echo sleeping; sleep 1002"
    context = make_context({"Dockerfile": f"FROM {busybox['oci']}\nRUN {command}\n"})
    destination = f"--destination={registry.reference(repository)}:1"
    with nothing_left(builder.state, context):
        running = builder.start(*builder.build_arguments(context), destination)
        running.wait_until(lambda: len(_sleeping()) == 2, "the command runs")
        running.interrupt(number, group=group)
        running.finish(timeout=20).failed(number.name, status=128 + number)
        assert _sleeping() == []
    assert registry.tags(repository) == []


def _sleeping() -> list[int]:
    return processes_named("sleep", "1001") + processes_named("sleep", "1002")


@signals
def test_push(
    builder: Builder,
    registry: LoopbackRegistry,
    make_context: MakeContext,
    repository: str,
    number: signal.Signals,
    group: bool,
) -> None:
    context = make_context({"Dockerfile": "FROM scratch\nCOPY random /\n", "random": os.urandom(2_000_000)})
    with StallingProxy(registry.port, "upload", after=500_000) as proxy:
        with nothing_left(builder.state, context):
            destination = f"--destination={proxy.host}/{repository}:1"
            running = builder.start(*builder.build_arguments(context), destination)
            running.wait_until(proxy.stalled.is_set, "the upload has begun")
            running.interrupt(number, group=group)
            running.finish(timeout=20).failed(number.name, status=128 + number)
    assert registry.tags(repository) == []


def test_the_same_build_succeeds_afterwards(
    builder: Builder, registry: LoopbackRegistry, busybox: dict[str, str], make_context: MakeContext, repository: str
) -> None:
    """Whatever was left of a killed build, the next one with the same state is not disturbed by it."""
    context = make_context({"Dockerfile": f"FROM {busybox['oci']}\nRUN true\n"})
    waiting = make_context({"Dockerfile": f"FROM {busybox['oci']}\nRUN sleep 1003\n"})
    running = builder.start(*builder.build_arguments(waiting), "--no-push")
    running.wait_until(lambda: bool(processes_named("sleep", "1003")), "the command runs")
    running.kill()
    with nothing_left(builder.state, context):
        builder.build(context, f"--destination={registry.reference(repository)}:1").ok()
    assert registry.tags(repository) == ["1"]


@pytest.fixture
def small_disk(as_root: None, scratch: Path, builder: Builder) -> Iterator[Path]:
    """A file system of 4 MB that the builder's user owns."""
    place = scratch / "small"
    place.mkdir()
    owner = f"uid={builder.account.uid},gid={builder.account.gid}" if builder.account else "uid=0"
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size=4m,mode=0755,{owner}", "tmpfs", place], check=True)
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", place], check=True)


@pytest.mark.parametrize(
    "instruction",
    ["COPY random /", "RUN cat /dev/urandom > /random"],
    ids=["COPY", "RUN"],
)
def test_no_space_left(
    builder: Builder,
    small_disk: Path,
    registry: LoopbackRegistry,
    make_context: MakeContext,
    repository: str,
    busybox: dict[str, str],
    instruction: str,
) -> None:
    context = make_context({"Dockerfile": f"FROM {busybox['oci']}\n{instruction}\n", "random": os.urandom(8_000_000)})
    state = small_disk / "state"
    with nothing_left(state, context):
        destination = f"--destination={registry.reference(repository)}:1"
        outcome = builder.build(context, destination, f"--state-dir={state}").failed("(?i)space|exit (code|status) 1")
        assert "No space left on device" in outcome.output
    assert registry.tags(repository) == []
    assert processes_using(state) == []


def test_no_space_left_for_the_base(
    builder: Builder,
    small_disk: Path,
    make_context: MakeContext,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    with LoopbackRegistry() as registry:
        layout = OciLayout(tmp_path_factory.mktemp("large"))
        large = Blob.of(layer([Item(path="random", data=os.urandom(8_000_000))]))
        layout.tag(layout.image([large], {}, host_architecture()), "large")
        base = push_layout(layout.path, "large", registry, "base/large:1")
        context = make_context({"Dockerfile": f"FROM {base}\nRUN true\n"})
        state = small_disk / "state"
        with nothing_left(state, context):
            builder.build(context, "--no-push", f"--state-dir={state}").failed("(?i)no space left")
