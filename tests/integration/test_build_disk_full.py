"""A disk that is full, wherever a build is at that moment: one message, no hanging, nothing left behind."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from support.bases import push_layout
from support.builder import Builder
from support.contexts import MakeContext
from support.images import Blob, Item, OciLayout, directory, layer
from support.leftovers import nothing_left
from support.listing import host_architecture
from support.registry import LoopbackRegistry

_FULL = r"(?i)no space left|disk is full"
_KIBIBYTE = 1 << 10
# The build below wants about 13 MiB.
_FEW = (1, 2500, 6000, 9000)
_MANY = tuple(size for size in range(250, 13_000, 250) if size not in _FEW)


@pytest.fixture(scope="module")
def large_base(registry: LoopbackRegistry, as_root: None, session_directory: Path) -> str:
    """Programs, and a layer of 4 MB that no compressor makes smaller."""
    layout = OciLayout(session_directory / "large-base")
    program = Path("/bin/busybox").read_bytes()
    programs = [directory("bin"), *(Item(path=f"bin/{name}", mode=0o755, data=program) for name in ("sh", "cp"))]
    files = [directory("data"), *(Item(path=f"data/{n}", data=os.urandom(400_000)) for n in range(10))]
    config = {"Env": ["PATH=/bin"]}
    layout.tag(layout.image([Blob.of(layer(programs)), Blob.of(layer(files))], config, host_architecture()), "large")
    return push_layout(layout.path, "large", registry, "base/large:1")


@contextlib.contextmanager
def small_disk(place: Path, kibibytes: int) -> Iterator[Path]:
    """A filesystem of that size at `place`, for as long as the block lasts."""
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={kibibytes}k,mode=0755", "tmpfs", place], check=True)
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", place], check=True)  # whoever serves from it may still have it open


def _on(builder: Builder, state: Path) -> Builder:
    return replace(builder, state=state)


@pytest.mark.parametrize(
    "kibibytes", [*_FEW, *(pytest.param(size, marks=pytest.mark.exhaustive) for size in _MANY)], ids=str
)
def test_the_state_directory(
    root_builder: Builder,
    registry: LoopbackRegistry,
    large_base: str,
    make_context: MakeContext,
    repository: str,
    scratch: Path,
    kibibytes: int,
) -> None:
    """Where exactly it is full depends on the size: in unpacking, in the command's own files, in packing."""
    dockerfile = (
        f"FROM {large_base} AS other\nRUN cp /data/0 /copy || exit 9\n"
        f"FROM {large_base}\nCOPY random /random\nRUN cp /data/1 /copy || exit 9\nCOPY --from=other /copy /other\n"
    )
    context = make_context({"Dockerfile": dockerfile, "random": os.urandom(3_000_000)})
    destination = f"--destination={registry.reference(repository)}:1"
    with small_disk(scratch / "disk", kibibytes) as disk, nothing_left(disk / "state"):
        outcome = _on(root_builder, disk / "state").build(context, destination, timeout=60)
        if outcome.status == 0:
            assert registry.tags(repository) == ["1"]
            assert kibibytes > max(_FEW)
            return
        if "exit code 9" in outcome.stderr:  # the command itself found the disk full, and has said so
            outcome.failed("exit code 9")
        else:
            outcome.failed(_FULL)
        assert registry.tags(repository) == []


@pytest.mark.parametrize("flag", ["--tar-path={}/image.tar", "--oci-layout-path={}/layout", "--profile={}/trace"])
def test_an_output(root_builder: Builder, make_context: MakeContext, scratch: Path, flag: str) -> None:
    context = make_context({"Dockerfile": "FROM scratch\nCOPY random /\n", "random": os.urandom(1_000_000)})
    with small_disk(scratch / "disk", 4 if "profile" in flag else 500) as disk:
        with open(disk / "filler", "wb") as filler, contextlib.suppress(OSError):
            if "profile" in flag:
                filler.write(bytes(100 * _KIBIBYTE))
        before = sorted(os.listdir(disk))
        with nothing_left(root_builder.state):
            root_builder.build(context, "--no-push", flag.format(disk), timeout=60).failed(_FULL)
        assert [name for name in sorted(os.listdir(disk)) if name not in (*before, "layout")] == []


def test_the_registry(root_builder: Builder, make_context: MakeContext, scratch: Path) -> None:
    """A registry whose disk is full ends the build with what the registry says."""
    context = make_context({"Dockerfile": "FROM scratch\nCOPY random /\n", "random": os.urandom(5_000_000)})
    with LoopbackRegistry() as registry, small_disk(registry.directory / "data", 2000):
        with nothing_left(root_builder.state):
            destination = f"--destination={registry.reference('full')}:1"
            root_builder.build(context, destination, timeout=120).failed("500|no space left")
        assert registry.tags("full") == []
