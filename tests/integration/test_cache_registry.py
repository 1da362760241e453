"""Layers cached in a registry or in a directory: what a second machine builds of them, and caches that are no good."""

from __future__ import annotations

import json
import re
import subprocess
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from support.builder import Builder, Outcome
from support.contexts import MakeContext
from support.leftovers import nothing_left
from support.listing import diff_listings, list_image
from support.registry import LoopbackRegistry, unused_port
from support.stalling_proxy import StallingProxy

DOCKERFILE = """FROM BASE
RUN echo $((40 + 2)) > /answer
WORKDIR /work
COPY greeting .
RUN cat greeting /answer > both && date +%s%N > when
"""
MakeMachine = Callable[[str], Builder]


@pytest.fixture
def machine(user_builder: Builder) -> MakeMachine:
    """A function that gives a machine of this name: the builder with a state directory of its own."""
    return lambda name: replace(user_builder, state=user_builder.state.with_name(f"state-of-{name}"))


@pytest.fixture
def context(make_context: MakeContext, busybox: dict[str, str]) -> Path:
    return make_context({"Dockerfile": DOCKERFILE.replace("BASE", busybox["oci"]), "greeting": "hello\n"})


def cached(outcome: Outcome) -> list[str]:
    """Where the steps came from that were cached."""
    return re.findall(r"^\[\d/\d\] CACHED \((.*)\)$", outcome.stderr, re.MULTILINE)


def warnings(outcome: Outcome) -> list[str]:
    return [line for line in outcome.stderr.splitlines() if line.startswith("warning: ")]


def test_a_second_machine_builds_nothing_again(
    machine: MakeMachine,
    make_context: MakeContext,
    busybox: dict[str, str],
    registry: LoopbackRegistry,
    repository: str,
) -> None:
    """And makes the same image, with no layer downloaded and no file unpacked."""
    flags = ("--cache=true", "--cache-copy-layers")
    with StallingProxy(registry.port, "download") as proxy:
        base = busybox["oci"].replace(registry.host, proxy.host)
        context = make_context({"Dockerfile": DOCKERFILE.replace("BASE", base), "greeting": "hello\n"})
        destination = f"--destination={proxy.host}/{repository}"
        first = machine("a").build(context, f"{destination}:1", *flags).ok()
        before = proxy.passed
        second = machine("b").build(context, f"{destination}:2", *flags).ok()
        came = proxy.passed - before
        places = [f"{proxy.host}/{repository}/cache:{key}" for key in by_step(registry, repository)]
    assert cached(first) == []
    assert len(places) == len(registry.tags(f"{repository}/cache")) == 4
    assert cached(second) == places
    assert came < 60_000, "the base's megabyte has come"
    assert not (machine("b").state / "layers").exists()
    assert warnings(first) == warnings(second) == []
    same_image(registry, repository, "1", "2")


def by_step(registry: LoopbackRegistry, repository: str) -> list[str]:
    """The keys of the cache in the order of the image's layers."""
    cache = f"{repository}/cache"
    by_layer = {registry.manifest(cache, key)["layers"][0]["digest"]: key for key in registry.tags(cache)}
    layers = registry.manifest(repository, "1")["layers"]
    return [by_layer[layer["digest"]] for layer in layers if layer["digest"] in by_layer]


@pytest.mark.exhaustive
def test_entries_are_images_that_other_tools_read(
    machine: MakeMachine, context: Path, registry: LoopbackRegistry, repository: str
) -> None:
    machine("a").build(context, f"--destination={registry.reference(repository)}:1", "--cache=true").ok()
    for key in registry.tags(f"{repository}/cache"):
        reference = f"docker://{registry.reference(repository)}/cache:{key}"
        shown = subprocess.run(
            ["skopeo", "inspect", "--tls-verify=false", reference], capture_output=True, check=True, text=True
        )
        assert len(json.loads(shown.stdout)["Layers"]) == 1


@pytest.mark.exhaustive
def test_which_kinds_are_cached_as_kaniko_has_it(
    machine: MakeMachine, context: Path, registry: LoopbackRegistry, repository: str
) -> None:
    """RUN by default, COPY where it is asked for."""
    for number, (flags, count) in enumerate(
        ([("--cache",), 3], [("--cache", "--cache-copy-layers"), 4], [("--cache", "--cache-run-layers=false"), 1])
    ):
        destination = f"{registry.reference(repository)}-{number}"
        machine(str(number)).build(context, f"--destination={destination}:1", *flags).ok()
        assert len(registry.tags(f"{repository}-{number}/cache")) == count


def test_a_layer_is_uploaded_once_and_mounted(
    machine: MakeMachine,
    make_context: MakeContext,
    registry: LoopbackRegistry,
    busybox: dict[str, str],
    repository: str,
) -> None:
    line = "RUN dd if=/dev/urandom of=/random bs=1000 count=2000"
    context = make_context({"Dockerfile": f"FROM {busybox['oci']}\n{line}\n"})
    with StallingProxy(registry.port, "upload") as counting:
        destination = f"--destination={counting.host}/{repository}:1"
        machine("a").build(context, destination, "--cache").ok()
        assert 2_000_000 < counting.passed < 3_500_000
    assert len(registry.tags(f"{repository}/cache")) == 1


@pytest.mark.exhaustive
def test_a_cache_repository_of_its_own_without_a_push(
    machine: MakeMachine, context: Path, registry: LoopbackRegistry, repository: str
) -> None:
    flags = ("--no-push", "--cache", "--cache-copy-layers", f"--cache-repo={registry.reference(repository)}")
    machine("a").build(context, *flags).ok()
    assert len(registry.tags(repository)) == 4
    assert len(cached(machine("b").build(context, *flags).ok())) == 4


@pytest.mark.exhaustive
def test_no_push_cache(machine: MakeMachine, context: Path, registry: LoopbackRegistry, repository: str) -> None:
    flags = ("--no-push", "--cache", f"--cache-repo={registry.reference(repository)}")
    machine("a").build(context, *flags, "--no-push-cache").ok()
    assert registry.tags(repository) == []


@pytest.mark.exhaustive
def test_the_time_to_live(machine: MakeMachine, context: Path, registry: LoopbackRegistry, repository: str) -> None:
    flags = ("--no-push", "--cache", f"--cache-repo={registry.reference(repository)}")
    machine("a").build(context, *flags).ok()
    assert cached(machine("b").build(context, *flags, "--cache-ttl=1ns").ok()) == []


def test_a_failing_build_keeps_what_it_has_built(
    machine: MakeMachine, context: Path, registry: LoopbackRegistry, repository: str
) -> None:
    flags = ("--no-push", "--cache", "--cache-copy-layers", f"--cache-repo={registry.reference(repository)}")
    whole = (context / "Dockerfile").read_text()
    (context / "Dockerfile").write_text(whole + "RUN exit 7\n")
    machine("a").build(context, *flags).failed("exit code 7")
    (context / "Dockerfile").write_text(whole)
    assert len(cached(machine("b").build(context, *flags).ok())) == 4


def test_two_machines_fill_the_same_cache(
    machine: MakeMachine, context: Path, registry: LoopbackRegistry, repository: str
) -> None:
    flags = (f"--destination={registry.reference(repository)}:1", "--cache", "--cache-copy-layers")
    outcomes: list[Outcome] = []

    def build(name: str) -> None:
        outcomes.append(machine(name).build(context, *flags))

    threads = [threading.Thread(target=build, args=(name,)) for name in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(200)
    assert [warnings(outcome.ok()) for outcome in outcomes] == [[], []]
    last = machine("c").build(context, *flags).ok()
    assert warnings(last) == []
    assert cached(last), "what was stored is of use"


@pytest.mark.parametrize("shared", ["registry", "directory"])
def test_a_poisoned_layer_is_built_again(
    machine: MakeMachine, context: Path, registry: LoopbackRegistry, repository: str, shared: str, scratch: Path
) -> None:
    """Its bytes are read where something must run upon it, and are not what they should be."""
    cache = registry.reference(repository) if shared == "registry" else f"oci:{scratch}/cache"
    flags = ("--no-push", "--cache", "--cache-copy-layers", f"--cache-repo={cache}")
    machine("a").build(context, *flags).ok()
    poison(registry, repository, scratch / "cache" if shared == "directory" else None)
    archive = scratch / "image.tar"
    (context / "Dockerfile").write_text((context / "Dockerfile").read_text() + "RUN test $(cat /answer) = 42\n")
    with nothing_left(machine("b").state, context):
        second = machine("b").build(context, *flags, f"--tar-path={archive}").ok()
    assert len([line for line in warnings(second) if "building again" in line]) == 1, second.output
    assert archive.exists()


def poison(registry: LoopbackRegistry, repository: str, layout: Path | None) -> None:
    """Put other bytes into every cached layer."""
    keys = registry.tags(repository) if layout is None else []
    paths = [registry.blob_file(registry.manifest(repository, key)["layers"][0]["digest"]) for key in keys]
    if layout is not None:
        index = json.loads((layout / "index.json").read_text())
        blobs = layout / "blobs/sha256"
        for entry in index["manifests"]:
            manifest = json.loads((blobs / entry["digest"].partition(":")[2]).read_text())
            paths.append(blobs / manifest["layers"][0]["digest"].partition(":")[2])
    assert paths
    for path in set(paths):
        path.write_bytes(bytes(path.stat().st_size))


@pytest.mark.parametrize("how", ["unreachable", "unauthorised"])
def test_a_cache_that_cannot_be_used_costs_a_warning(
    user_builder: Builder, context: Path, registry: LoopbackRegistry, repository: str, how: str
) -> None:
    destination = f"--destination={registry.reference(repository)}:1"
    with unused_port() as port, LoopbackRegistry(htpasswd=True) as locked:
        host = f"127.0.0.1:{port}" if how == "unreachable" else locked.host
        outcome = user_builder.build(context, destination, "--cache", f"--cache-repo={host}/cache").ok()
    told = [line for line in warnings(outcome) if "trying again" not in line]
    assert 1 <= len(told) <= 2, outcome.output
    assert all(f"the cache {host}/cache" in line for line in told)
    assert registry.tags(repository) == ["1"]


def test_a_directory_as_cache(machine: MakeMachine, context: Path, scratch: Path) -> None:
    flags = ("--no-push", "--cache", "--cache-copy-layers", f"--cache-repo=oci:{scratch}/cache")
    machine("a").build(context, *flags).ok()
    second = machine("b").build(context, *flags).ok()
    assert len(cached(second)) == 4
    assert all(place.startswith(f"{scratch}/cache:") for place in cached(second))
    subprocess.run(["skopeo", "inspect", f"oci:{cached(second)[0]}"], check=True, capture_output=True)


def test_a_full_disk_costs_a_warning(root_builder: Builder, context: Path, scratch: Path) -> None:
    place = scratch / "small"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", str(place)], check=True)
    try:
        outcome = root_builder.build(context, "--no-push", "--cache", f"--cache-repo=oci:{place}/cache").ok()
    finally:
        subprocess.run(["umount", str(place)], check=True)
    told = warnings(outcome)
    assert len(told) == 1
    assert "No space left on device" in told[0]
    assert "layers are not stored in the cache" in told[0]


def same_image(registry: LoopbackRegistry, repository: str, one: str, other: str) -> None:
    """File by file and times too, and the config."""
    first, second = list_image(registry, repository, one), list_image(registry, repository, other)
    assert diff_listings(first.files, second.files, ignore=()) == ""
    assert first.config == second.config
