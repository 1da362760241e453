"""Base images of several platforms: some that run under an emulator, some that nobody can run."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support.bases import (
    busybox_config,
    busybox_layers,
    cache_directory,
    debootstrap,
    made_once,
    push_layout,
    tar_of,
    tidy,
)
from support.images import Blob, Item, OciLayout, layer
from support.listing import host_architecture
from support.registry import LoopbackRegistry

SIX = ("linux/amd64", "linux/arm64", "linux/arm/v7", "linux/386", "linux/ppc64le", "linux/s390x")
SHARED = """\
ARG BASE
ARG TOOLS
FROM --platform=$BUILDPLATFORM ${TOOLS} AS tools
RUN cat /proc/sys/kernel/random/uuid > /once
ENV KEPT=yes
CMD ["kept"]
ARG WHO=nobody
ARG TARGETARCH
RUN cat /proc/sys/kernel/random/uuid > /each && echo $KEPT $WHO $TARGETARCH > /seen
FROM --platform=$BUILDPLATFORM tools AS more
RUN cat /proc/sys/kernel/random/uuid > /more
FROM --platform=$BUILDPLATFORM ${TOOLS} AS same
RUN cat /proc/sys/kernel/random/uuid > /same
FROM ${BASE}
COPY --from=tools /once /each /seen /
COPY --from=more /more /
COPY --from=same /same /
"""
"""A Dockerfile whose stages are the same for all platforms, as a whole, up to an ARG, or not."""
_DEBIAN_VERSION = "2"  # goes up when what is in the cached base changes


def platform(text: str) -> dict[str, str]:
    """``os/architecture[/variant]`` as an index has it."""
    parts = dict(zip(("os", "architecture", "variant"), text.split("/"), strict=False))
    return {"architecture": parts["architecture"], **{key: parts[key] for key in parts if key != "architecture"}}


@dataclass(frozen=True, slots=True)
class Bases:
    """Pushes indexes to `registry`, their layouts below `scratch`."""

    registry: LoopbackRegistry
    scratch: Path

    def push(self, name: str, children: Mapping[str, Sequence[Blob]], config: Mapping[str, Any], *options: str) -> str:
        """Push an index with a child of these layers for each platform; the reference."""
        layout = OciLayout(Path(tempfile.mkdtemp(dir=self.scratch)))
        descriptors = [
            layout.image(blobs, config, platform(text)["architecture"]) | {"platform": platform(text)}
            for text, blobs in children.items()
        ]
        layout.tag(layout.index(descriptors), "index")
        return push_layout(layout.path, "index", self.registry, name, "--all", *options)

    def files(self, name: str, platforms: Sequence[str], *options: str) -> str:
        """An index whose children have one file, ``/for``, that says their platform. Nothing can be run in them."""
        children = {text: [Blob.of(layer([Item(path="for", data=f"{text}\n".encode())]))] for text in platforms}
        return self.push(name, children, {"Env": ["PATH=/bin"]}, *options)

    def busybox(self, name: str) -> str:
        """The busybox base for this machine and for arm64."""
        foreign = [Blob.of(tar) for tar in busybox_layers(busybox_arm64().read_bytes())]
        children = {f"linux/{host_architecture()}": [Blob.of(tar) for tar in busybox_layers()], "linux/arm64": foreign}
        return self.push(name, children, busybox_config())

    def debian(self, name: str) -> str:
        """Debian for this machine and, made under QEMU, for arm64."""
        host = debian_tar(host_architecture()), f"linux/{host_architecture()}"
        arm64 = debian_tar("arm64"), "linux/arm64"
        children = {text: [Blob.of(tar.read_bytes())] for tar, text in (host, arm64)}
        return self.push(name, children, {"Env": busybox_config()["Env"], "Cmd": ["bash"]})


def busybox_arm64() -> Path:
    """Debian's busybox-static for arm64, from the cache or from Debian's archive."""
    return made_once(cache_directory() / "busybox-static-arm64", _fetch_busybox) / "bin/busybox"


def _fetch_busybox(path: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="apt-", dir="/var/tmp") as directory:
        apt = ["apt-get", "-q", *(f"--option={each}" for each in _apt_options(Path(directory)))]
        for command in ("update", "download busybox-static"):
            subprocess.run(
                [*apt, *command.split()], cwd=directory, check=True, stdin=subprocess.DEVNULL, capture_output=True
            )
        (package,) = Path(directory).glob("busybox-static_*_arm64.deb")
        subprocess.run(["dpkg-deb", "--extract", package, path], check=True)


def _apt_options(directory: Path) -> list[str]:
    """An apt of its own, for arm64, that leaves the machine's alone."""
    (directory / "lists/partial").mkdir(parents=True)
    return [
        "APT::Architecture=arm64",
        "APT::Architectures::=arm64",
        "APT::Sandbox::User=root",
        "Acquire::Languages=none",
        f"Dir::State={directory}/state",
        f"Dir::State::Lists={directory}/lists",
        "Dir::State::Status=/dev/null",
        f"Dir::Cache={directory}/cache",
    ]


def debian_tar(architecture: str) -> Path:
    """The uncompressed layer of a Debian, from the cache or made now (needs root; foreign ones need binfmt_misc)."""
    finished = cache_directory() / f"debian-bookworm-minbase-{architecture}-{_DEBIAN_VERSION}"
    return made_once(finished, lambda path: _make_debian(path, architecture)) / "layer.tar"


def _make_debian(path: Path, architecture: str) -> None:
    with _directory() as root:
        if architecture == host_architecture():
            debootstrap(root, "--variant=minbase")
        else:
            debootstrap(root, "--variant=minbase", f"--arch={architecture}", "--foreign")
            second = ["chroot", root, "/debootstrap/debootstrap", "--second-stage"]
            done = subprocess.run(
                second, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
            )
            if done.returncode:
                log = (root / "debootstrap/debootstrap.log").read_text(errors="replace")
                raise RuntimeError(f"debootstrap --second-stage failed:\n{done.stdout[-2000:]}\n{log[-4000:]}")
        tidy(root)
        tar_of(root, path / "layer.tar")


@contextlib.contextmanager
def _directory() -> Iterator[Path]:
    directory = Path(tempfile.mkdtemp(prefix="debootstrap-", dir="/var/tmp"))
    try:
        yield directory / "root"
    finally:
        for mount in ("proc", "sys"):
            if os.path.ismount(directory / "root" / mount):
                subprocess.run(["umount", "--lazy", directory / "root" / mount], check=False)
        shutil.rmtree(directory, ignore_errors=True)
