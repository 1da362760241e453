"""The images that cases are FROM, under the names that their Dockerfiles use.

`busybox` is tests/support's; the others are made here: the same files, with another config. A Dockerfile names them as
if they were on Docker Hub; the registry of the tests stands in for it.
"""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from support.bases import busybox_layers, debian_layout, push_layout
from support.images import Blob, Item, OciLayout, directory, layer, symlink, whiteout
from support.listing import Image, host_architecture, list_image
from support.registry import LoopbackRegistry

from conformance.case import DEFAULT_PATH

_PLAIN: dict[str, Any] = {"Env": [DEFAULT_PATH], "Cmd": ["sh"], "WorkingDir": "/", "Labels": {"base": "busybox"}}
CONFIGS: dict[str, dict[str, Any]] = {
    "busybox": _PLAIN,
    "configured": {
        "Env": ["FROM_BASE=base", DEFAULT_PATH, "GREETING=hello"],
        "User": "app:staff",
        "WorkingDir": "/srv",
        "Entrypoint": ["/bin/sh", "-c"],
        "Cmd": ["base command"],
        "Labels": {"base": "configured", "keep": "yes"},
        "ExposedPorts": {"80/tcp": {}},
        "Volumes": {"/var/data": {}},
        "StopSignal": "SIGQUIT",
        "Shell": ["/bin/sh", "-ec"],
        "Healthcheck": {"Test": ["CMD", "true"], "Interval": 5_000_000_000},
    },
    "without-path": {"Env": ["ONLY=this"], "Cmd": ["sh"]},
    "onbuild": {**_PLAIN, "OnBuild": ["RUN echo triggered > /triggered", "COPY file /from-trigger"]},
    "onbuild-from": {**_PLAIN, "OnBuild": ["COPY --from=small /data /from-small"]},
    "onbuild-bad": {**_PLAIN, "OnBuild": ["FROM scratch"]},
}
"""Config by name."""
_LINKS = [
    directory("target"),
    Item(path="target/kept", data=b"kept\n"),
    symlink("link", "target"),
    directory("w-target"),
    Item(path="w-target/kept", data=b"kept\n"),
    symlink("w-link", "w-target"),
]
_OVER_LINKS = [
    directory("link"),
    Item(path="link/.wh..wh..opq"),
    Item(path="link/own", data=b"own\n"),
    directory("w-link"),
    whiteout("w-link/kept"),
]
_SMALL = [directory("data"), Item(path="data/file", data=b"of small\n", mtime=1_400_000_000, uid=7, gid=8)]


_LEFT_OUT = ("usr/share", "var", "etc")  # most of Debian's files, none of its programs and libraries


def debian_layer() -> Blob:
    """The programs of Debian with their C library, of which the tests' busybox image needs none."""
    layout = debian_layout()
    (named,) = json.loads((layout / "index.json").read_text())["manifests"]
    manifest = json.loads(_blob(layout, named["digest"]).read_text())
    buffer = io.BytesIO()
    with (
        tarfile.open(_blob(layout, manifest["layers"][0]["digest"])) as debian,
        tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as chosen,
    ):
        for member in debian:
            if not member.name.removeprefix("./").startswith(_LEFT_OUT):
                chosen.addfile(member, debian.extractfile(member) if member.isreg() else None)
    return Blob.of(buffer.getvalue())


def _blob(layout: Path, digest: str) -> Path:
    return layout / "blobs/sha256" / digest.removeprefix("sha256:")


def push_bases(registry: LoopbackRegistry, scratch: Path, below: Sequence[Blob] = ()) -> dict[str, Image]:
    """Push all of them as ``library/NAME:latest``; what is in them, by name.

    Args:
        below: layers of another system that the files of busybox come on top of.
    """
    layout = OciLayout(scratch / "conformance-layout")
    busybox = [*below, *(Blob.of(tar) for tar in busybox_layers())]
    images = {name: layout.image(busybox, config, host_architecture()) for name, config in CONFIGS.items()}
    over_links = [*busybox, Blob.of(layer(_LINKS)), Blob.of(layer(_OVER_LINKS))]
    images["opaque"] = layout.image(over_links, _PLAIN, host_architecture())
    images["small"] = layout.image([Blob.of(layer(_SMALL))], {"Env": [DEFAULT_PATH]}, host_architecture())
    foreign = layout.image([Blob.of(layer([Item(path="foreign", data=b"s390x\n")]))], {"Env": [DEFAULT_PATH]}, "s390x")
    images["platforms"] = layout.index([foreign, images["small"]])
    for name, descriptor in images.items():
        layout.tag(descriptor, name)
        options = ["--all"] if name == "platforms" else []
        push_layout(layout.path, name, registry, f"library/{name}:latest", *options)
    listed = {name: list_image(registry, f"library/{name}", "latest") for name in images}
    listed["platforms/s390x"] = list_image(registry, "library/platforms", "latest", "s390x")
    return listed
