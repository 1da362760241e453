"""Where the runs take place: a registry with the base, and room on disk that is free again after each run."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from support.builder import remove_tree
from support.registry import LoopbackRegistry

from benchmarks.builders import Builder
from benchmarks.measure import Measurement

_REPOSITORY = "out"
CACHE = "cache"
"""The repositories of images, and of cached layers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Yard:
    """A registry that holds nothing but `base`, whose layers have the digests `base_layers`, between runs."""

    registry: LoopbackRegistry
    base: str
    base_layers: frozenset[str]
    directory: Path

    def cold(self, builder: Builder, context: Path, *options: str) -> Measurement:
        """A run with nothing from before; nothing stays."""
        try:
            return self.run(builder, context, *options)
        finally:
            self.clear()

    def run(self, builder: Builder, context: Path, *options: str) -> Measurement:
        """A run with what the runs since the last `clear` have left, in its state and in the registry."""
        name = f"{_REPOSITORY}/{context.name}"
        state = self.directory / "state"
        measurement = builder.build(context, self.registry.reference(f"{name}:latest"), state, *options)
        layers = self.registry.manifest(name, "latest")["layers"]
        pushed = sum(each["size"] for each in layers if each["digest"] not in self.base_layers)
        return replace(measurement, pushed=pushed)

    def forget(self) -> None:
        """Remove the state, as on a machine that builds for the first time."""
        state = self.directory / "state"
        for mount in mounts_below(state):
            subprocess.run(["umount", "--lazy", mount], check=False)
        remove_tree(state)

    def clear(self) -> None:
        """Forget the state and whatever was pushed."""
        self.forget()
        storage = self.registry.directory / "data/docker/registry/v2"
        for repository in (_REPOSITORY, CACHE):
            shutil.rmtree(storage / "repositories" / repository, ignore_errors=True)
        kept = {digest.removeprefix("sha256:") for digest in self.blobs_of_bases()}
        for blob in (storage / "blobs/sha256").glob("*/*"):
            if blob.name not in kept:
                shutil.rmtree(blob)

    def blobs_of_bases(self) -> set[str]:
        """Every blob that the repositories below ``base`` link to, manifests among them."""
        repositories = self.registry.directory / "data/docker/registry/v2/repositories/base"
        return {f"sha256:{link.parent.name}" for link in repositories.rglob("link")}


def mounts_below(directory: Path) -> Sequence[str]:
    """Mount points in `directory`, the innermost first."""
    mounts = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
    return [mount for mount in reversed(mounts) if Path(mount).is_relative_to(directory)]
