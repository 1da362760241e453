"""The builders that are compared. Each run is a process of its own with a state of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import builder
from benchmarks.measure import Measurement, measured

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class Builder(Protocol):
    """Builds a context and pushes the image."""

    name: str

    def build(self, context: Path, reference: str, state: Path, *options: str) -> Measurement:
        """One run with `state`, a directory that holds what earlier runs with it have kept; made where missing."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Ours:
    """The builder, with commands in namespaces.

    Attributes:
        installed: the directory that its package is in.
    """

    installed: Path
    name: str = "builder"

    def build(self, context: Path, reference: str, state: Path, *options: str) -> Measurement:
        command = [sys.executable, "-P", "-m", "builder", f"--context={context}", f"--destination={reference}"]
        environment = _environment(state, BUILDER_STATE_DIR=str(state), PYTHONPATH=str(self.installed))
        return measured([*command, *options], environment, state.parent)


def install(directory: Path) -> Path:
    """Copy the package of this work tree, as it is now, to `directory` and compile it, as an installation does."""
    package = Path(builder.__file__).parent
    shutil.copytree(package, directory / "builder", ignore=shutil.ignore_patterns("__pycache__"))
    subprocess.run([sys.executable, "-m", "compileall", "-q", str(directory)], check=True)
    return directory


@dataclass(frozen=True, slots=True, kw_only=True)
class Buildah:
    """Debian's Buildah with overlays, in the host's network; a build, then a push, as two commands of one run.

    Attributes:
        options: of every build. Without ``--layers`` all instructions of a stage end up in one layer, which is the
            quickest that it can do.
    """

    name: str = "Buildah"
    options: Sequence[str] = ()

    def build(self, context: Path, reference: str, state: Path, *options: str) -> Measurement:
        storage = f"buildah --root={state}/root --runroot={state}/run --storage-driver=overlay"
        how = ["--isolation=chroot", "--network=host", "--tls-verify=false", f"--tag={reference}"]
        build = " ".join([storage, "build", *how, *self.options, *options, str(context)])
        push = f"{storage} push --tls-verify=false {reference}"
        environment = _environment(state, TMPDIR=str(state))
        return measured(["sh", "-c", f"{build} && {push}"], environment, state.parent)


def _environment(state: Path, **variables: str) -> dict[str, str]:
    state.mkdir(exist_ok=True)
    return {"PATH": _PATH, "HOME": str(state), "LANG": "C.UTF-8", **variables}


def version_of_buildah() -> str:
    """``1.28.2``, say; "" where it is missing."""
    with os.popen("buildah --version 2>/dev/null") as output:
        words = output.read().split()
    return words[2] if len(words) > 2 else ""
