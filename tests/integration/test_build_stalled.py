"""A registry that stands still: it holds up its own transfers, and nothing else of the build."""

from __future__ import annotations

import os
import signal
import socket
from pathlib import Path

import pytest
from support.bases import push_layout
from support.builder import Builder
from support.contexts import MakeContext
from support.images import Blob, Item, OciLayout, layer
from support.leftovers import nothing_left
from support.listing import host_architecture
from support.registry import LoopbackRegistry, free_port
from support.stalling_proxy import StallingProxy

_LAYERS = 8
_SIZE = 300_000


@pytest.fixture(scope="module")
def many_layers(registry: LoopbackRegistry, session_directory: Path) -> str:
    """The name of a base in the registry that has more layers than are fetched at the same time."""
    layout = OciLayout(session_directory / "many-layers")
    blobs = [Blob.of(layer([Item(path=f"file{n}", data=os.urandom(_SIZE))])) for n in range(_LAYERS)]
    layout.tag(layout.image(blobs, {}, host_architecture()), "many")
    push_layout(layout.path, "many", registry, "base/many-layers:1")
    return "base/many-layers:1"


def _blobs(registry: LoopbackRegistry, repository: str) -> int:
    """How many blobs a repository has."""
    links = registry.directory / "data/docker/registry/v2/repositories" / repository / "_layers/sha256"
    return len(list(links.glob("*/link")))


@pytest.mark.parametrize("snapshotter", ["", "walk"])
def test_a_base_that_does_not_come(
    root_builder: Builder,
    registry: LoopbackRegistry,
    busybox: dict[str, str],
    many_layers: str,
    make_context: MakeContext,
    repository: str,
    snapshotter: str,
) -> None:
    gate = free_port()
    with StallingProxy(registry.port, "download", _SIZE) as proxy, nothing_left(root_builder.state):
        stalled = f"FROM {proxy.host}/{many_layers} AS"
        dockerfile = (
            f"{stalled} run\nRUN touch /1\n{stalled} run2\nRUN touch /2\n{stalled} copy\nCOPY file /3\n"
            f"FROM {busybox['oci']} AS well\nRUN until nc 127.0.0.1 {gate} -e true 2> /dev/null; do sleep 0.05; done\n"
            "COPY file /after\nRUN echo after the stall | tee /ran\nWORKDIR /work\nRUN echo and on\n"
            "FROM well\nCOPY --from=run /1 /\nCOPY --from=run2 /2 /\nCOPY --from=copy /3 /\n"
        )
        context = make_context({"Dockerfile": dockerfile, "file": "content"})
        builder = root_builder.with_environment(BUILDER_SNAPSHOTTER=snapshotter)
        running = builder.start(
            *builder.build_arguments(context), f"--destination={registry.reference(repository)}:1", "--progress=plain"
        )
        running.wait_until(proxy.stalled.is_set, "the base stands still")
        with socket.create_server(("127.0.0.1", gate)):
            running.wait_until(lambda: "| and on" in running.said(), "the other stage has gone on")
            # of its five layers two are the same empty one; those of the base are not sent before the end
            running.wait_until(lambda: _blobs(registry, repository) >= 4, "its layers are pushed")
        running.interrupt(signal.SIGTERM, group=False)
        assert running.finish().status == 128 + signal.SIGTERM
    assert registry.tags(repository) == []


def test_a_destination_that_takes_nothing(
    root_builder: Builder, registry: LoopbackRegistry, make_context: MakeContext, repository: str
) -> None:
    names = [f"file{n}" for n in range(_LAYERS)]
    instructions = "".join(f"COPY {name} /\n" for name in names)
    files = {name: os.urandom(_SIZE) for name in names}
    context = make_context({"Dockerfile": f"FROM scratch\n{instructions}", **files})
    with StallingProxy(registry.port, "upload", _SIZE) as proxy, nothing_left(root_builder.state):
        running = root_builder.start(
            *root_builder.build_arguments(context),
            f"--destination={proxy.host}/{repository}/stalled:1",
            f"--destination={registry.reference(repository)}/well:1",
        )
        running.wait_until(proxy.stalled.is_set, "the first destination stands still")
        running.wait_until(
            lambda: _blobs(registry, f"{repository}/well") == _LAYERS + 1, "the other one has all layers and the config"
        )
        running.interrupt(signal.SIGTERM, group=False)
        assert running.finish().status == 128 + signal.SIGTERM
    assert registry.tags(f"{repository}/well") == [], "nothing is tagged unless it is everywhere"
