"""Builds with very much of something: files, bytes, layers, history, stages."""

from __future__ import annotations

import gzip
import io
import json
import os
import tarfile
from pathlib import Path
from typing import Any

import pytest
from support.bases import busybox_layers, push_layout
from support.builder import Builder
from support.contexts import MakeContext
from support.images import Blob, Item, OciLayout, layer
from support.listing import host_architecture
from support.registry import LoopbackRegistry

_MEBIBYTE = 1 << 20
_GIBIBYTE = 1 << 30
_CONFIG = {"Env": ["PATH=/usr/bin:/bin"]}


def _base(layout: OciLayout, layers: int, history: int = 0) -> None:
    """A busybox with `layers` layers more, each of one file of its own, and `history` entries without a layer."""
    blobs = [Blob.of(tar) for tar in busybox_layers()]
    blobs += [Blob.of(layer([Item(path=f"srv/{n}", data=f"{n}\n".encode())])) for n in range(layers)]
    descriptor = layout.image(blobs, _CONFIG, host_architecture())
    if history:
        descriptor = _with_history(layout, descriptor["digest"], history)
    layout.tag(descriptor, "1")


def _with_history(layout: OciLayout, digest: str, count: int) -> dict[str, object]:
    blobs = layout.path / "blobs/sha256"
    manifest = json.loads((blobs / digest.removeprefix("sha256:")).read_text())
    config = json.loads((blobs / manifest["config"]["digest"].removeprefix("sha256:")).read_text())
    config["history"] += [{"created_by": f"ENV N={n}", "empty_layer": True} for n in range(count)]
    data = json.dumps(config).encode()
    manifest["config"] |= {"digest": layout.add(data), "size": len(data)}
    data = json.dumps(manifest).encode()
    platform = {"os": "linux", "architecture": host_architecture()}
    return {"mediaType": manifest["mediaType"], "digest": layout.add(data), "size": len(data), "platform": platform}


def _manifest(layout: Path) -> dict[str, Any]:
    """The manifest of the one image of a layout."""
    index = json.loads((layout / "index.json").read_text())
    manifest: dict[str, Any] = json.loads(_blob(layout, index["manifests"][0]["digest"]))
    return manifest


def _blob(layout: Path, digest: str) -> bytes:
    return (layout / "blobs/sha256" / digest.removeprefix("sha256:")).read_bytes()


@pytest.mark.parametrize(
    "layers", [130, *(pytest.param(count, marks=pytest.mark.exhaustive) for count in (200, 495, 600))]
)
@pytest.mark.parametrize("snapshotter", ["", pytest.param("walk", marks=pytest.mark.exhaustive)])
@pytest.mark.parametrize("who", ["user", pytest.param("root", marks=pytest.mark.exhaustive)])
def test_a_base_of_many_layers(
    request: pytest.FixtureRequest,
    make_context: MakeContext,
    scratch: Path,
    layers: int,
    snapshotter: str,
    who: str,
) -> None:
    builder: Builder = request.getfixturevalue(f"{who}_builder")
    _base(OciLayout(scratch / "base"), layers)
    command = f"ls /srv | wc -l > /count && cat /srv/0 /srv/{layers - 1} >> /count && rm /srv/1"
    dockerfile = f"FROM base\nRUN {command}\nCOPY file /\nRUN echo >> /count\n"
    context = make_context({"Dockerfile": dockerfile, "file": "x"})
    out = builder.home / "layout"
    named = f"--build-context=base=oci-layout://{scratch}/base:1"
    run = builder.with_environment(BUILDER_SNAPSHOTTER=snapshotter)
    run.build(context, named, "--no-push", f"--oci-layout-path={out}").ok()
    written = _manifest(out)["layers"]
    assert len(written) == 3 + layers + 3
    tar = gzip.decompress(_blob(out, written[-3]["digest"]))
    with tarfile.open(fileobj=io.BytesIO(tar)) as archive:
        found = {member.name: archive.extractfile(member) for member in archive if member.isfile()}
    assert found.keys() == {"count", "srv/.wh.1"}
    count = found["count"]
    assert count is not None and count.read().decode().split() == [str(layers), "0", str(layers - 1)]


@pytest.mark.exhaustive
@pytest.mark.parametrize("snapshotter", ["", "walk"])
def test_many_commands(
    root_builder: Builder,
    registry: LoopbackRegistry,
    busybox: dict[str, str],
    make_context: MakeContext,
    repository: str,
    snapshotter: str,
) -> None:
    """As many layers of the build's own as an overlay can hardly be made of."""
    count = 520 if not snapshotter else 130
    runs = "".join(f"RUN echo {n} >> /all\n" for n in range(count))
    context = make_context({"Dockerfile": f"FROM {busybox['oci']}\n{runs}RUN test $(wc -l < /all) = {count}\n"})
    run = root_builder.with_environment(BUILDER_SNAPSHOTTER=snapshotter)
    run.build(context, f"--destination={registry.reference(repository)}:1", timeout=280).ok()
    assert len(registry.manifest(repository, "1")["layers"]) == 3 + count + 1


def test_a_long_history(
    root_builder: Builder, registry: LoopbackRegistry, make_context: MakeContext, repository: str, scratch: Path
) -> None:
    layout = OciLayout(scratch / "history")
    _base(layout, 3, history=5000)
    base = push_layout(layout.path, "1", registry, "base/history:1")
    environment = "".join(f"ENV V{n}={n}\n" for n in range(1000))
    context = make_context({"Dockerfile": f"FROM {base}\n{environment}RUN test $V999 = 999\n"})
    root_builder.build(context, f"--destination={registry.reference(repository)}:1").ok()
    manifest = registry.manifest(repository, "1")
    config = json.loads(registry.blob(repository, manifest["config"]["digest"]))
    assert len(config["history"]) == 6 + 5000 + 1000 + 1
    assert sum(not entry.get("empty_layer") for entry in config["history"]) == len(manifest["layers"]) == 7


def test_many_stages(
    root_builder: Builder,
    registry: LoopbackRegistry,
    busybox: dict[str, str],
    make_context: MakeContext,
    repository: str,
) -> None:
    """All of them come into the image, and a build of 64 needs little more memory than one of 8."""
    peaks = {}
    for count in (8, 64):
        stages = "".join(f"FROM {busybox['oci']} AS s{n}\nRUN echo {n} > /made\n" for n in range(count))
        copies = "".join(f"COPY --from=s{n} /made /{n}\n" for n in range(count))
        context = make_context({"Dockerfile": f"{stages}FROM scratch\n{copies}"})
        destination = f"--destination={registry.reference(repository)}:{count}"
        outcome = root_builder.run(*root_builder.build_arguments(context), destination, peak=True).ok()
        assert len(registry.manifest(repository, str(count))["layers"]) == count
        peaks[count] = outcome.peak_kib
    assert peaks[64] - peaks[8] < 40 * 1024, peaks


@pytest.mark.parametrize("size", [300 * _MEBIBYTE, pytest.param(10 * _GIBIBYTE, marks=pytest.mark.large)])
@pytest.mark.timeout(900)
def test_a_sparse_file(
    root_builder: Builder, registry: LoopbackRegistry, make_context: MakeContext, repository: str, size: int
) -> None:
    """It is written in full, as everyone does, and takes next to no room on the way."""
    context = make_context({"Dockerfile": "FROM scratch\nCOPY sparse /\n"})
    with open(context / "sparse", "wb") as file:
        file.truncate(size)
        file.seek(size // 2)
        file.write(b"in the middle")
    arguments = (*root_builder.build_arguments(context), f"--destination={registry.reference(repository)}:1")
    outcome = root_builder.run(*arguments, timeout=800, peak=True).ok()
    (pushed,) = registry.manifest(repository, "1")["layers"]
    assert pushed["size"] < size // 150
    assert outcome.peak_kib < 200 * 1024
    seen, found = 0, False
    with gzip.open(registry.blob_file(pushed["digest"])) as tar, tarfile.open(fileobj=tar, mode="r|") as archive:
        member = archive.next()
        assert member is not None and (member.name, member.size, member.isreg()) == ("sparse", size, True)
        content = archive.extractfile(member)
        assert content is not None
        while size < _GIBIBYTE and (chunk := content.read(_MEBIBYTE)):
            found |= chunk.startswith(b"in the middle") and seen == size // 2
            seen += len(chunk)
    assert size > _GIBIBYTE or (found and seen == size)


@pytest.mark.large
@pytest.mark.timeout(900)
def test_many_files(
    root_builder: Builder,
    registry: LoopbackRegistry,
    busybox: dict[str, str],
    make_context: MakeContext,
    repository: str,
) -> None:
    """100,000 of them copied, looked at by a command, and removed."""
    context = make_context({})
    for folder in range(100):
        os.mkdir(context / f"{folder}")
        for name in range(1000):
            (context / f"{folder}/{name}").write_bytes(b"%d" % name)
    dockerfile = f"FROM {busybox['oci']}\nCOPY . /all\nRUN find /all -type f | wc -l > /count\nRUN rm -r /all/*\n"
    (context / "Dockerfile").write_text(dockerfile)
    (context / ".dockerignore").write_text("Dockerfile\n.dockerignore\n")
    arguments = (*root_builder.build_arguments(context), f"--destination={registry.reference(repository)}:1")
    outcome = root_builder.run(*arguments, timeout=800, peak=True).ok()
    assert outcome.peak_kib < 600 * 1024
    layers = [
        _names(registry, repository, each["digest"]) for each in registry.manifest(repository, "1")["layers"][-3:]
    ]
    assert [len(names) for names in layers] == [100_101, 1, 101]
    assert "all/99/999" in layers[0] and "all/.wh.99" in layers[2]


def _names(registry: LoopbackRegistry, repository: str, digest: str) -> set[str]:
    with tarfile.open(fileobj=io.BytesIO(gzip.decompress(registry.blob(repository, digest)))) as archive:
        return {member.name for member in archive}
