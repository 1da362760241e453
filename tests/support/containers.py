"""Other people's tools on what was pushed: podman runs it, skopeo and buildah read it."""

from __future__ import annotations

import contextlib
import json
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support.builder import remove_tree

# A mount namespace of its own: podman takes a mounted /sys/fs/cgroup/unified for a hybrid hierarchy that it cannot use.
_OWN_MOUNTS = ["unshare", "--mount", "sh", "-c", 'umount /sys/fs/cgroup/unified 2>/dev/null; exec "$@"', "sh"]
_RUN = (
    "--rm",
    "--cgroups=disabled",
    "--network=host",
    "--ulimit=nofile=1024:1024",
    "--ulimit=nproc=4096:4096",
    "--log-driver=none",
)


@dataclass(frozen=True, slots=True)
class Podman:
    """podman (as root) with a storage of its own."""

    directory: Path

    def run(self, image: str, *command: str, options: Sequence[str] = ()) -> str:
        """Pull `image` and run it; its standard output. AssertionError if it fails."""
        pull = [] if image.startswith("localhost/") else ["--tls-verify=false"]
        return self._podman("run", *pull, *_RUN, *options, image, *command)

    def load(self, archive: Path) -> str:
        """``podman load``; the name of the image."""
        return self._podman("load", "--quiet", f"--input={archive}").strip().removeprefix("Loaded image: ")

    def inspect(self, image: str) -> dict[str, Any]:
        inspected: dict[str, Any] = json.loads(self._podman("image", "inspect", image))[0]
        return inspected

    def manifest(self, image: str) -> dict[str, Any]:
        """``podman manifest inspect``."""
        host = image.partition("/")[0]
        configuration = self.directory / "registries.conf"  # this command has no --tls-verify
        configuration.write_text(f'[[registry]]\nlocation = "{host}"\ninsecure = true\n')
        before = ["env", f"CONTAINERS_REGISTRIES_CONF={configuration}"]
        inspected: dict[str, Any] = json.loads(self._podman("manifest", "inspect", image, before=before))
        return inspected

    def _podman(self, *arguments: str, before: Sequence[str] = ()) -> str:
        places = [f"--root={self.directory}/root", f"--runroot={self.directory}/run", f"--tmpdir={self.directory}/tmp"]
        manager = ["--cgroup-manager=cgroupfs", "--events-backend=none"]
        return _output([*_OWN_MOUNTS, *before, "podman", *places, *manager, *arguments])


@contextlib.contextmanager
def podman() -> Iterator[Podman]:
    """A podman whose storage is gone afterwards."""
    directory = Path(tempfile.mkdtemp(prefix="podman-", dir="/var/tmp"))
    try:
        yield Podman(directory)
    finally:
        for mount in _mounts_below(directory):
            subprocess.run(["umount", "--lazy", mount], check=False)
        remove_tree(directory)


def skopeo_inspect(image: str, *options: str) -> dict[str, Any]:
    """``skopeo inspect`` of ``docker://host/name``, ``oci:path`` or ``docker-archive:path``."""
    if image.startswith("docker://"):
        options = ("--tls-verify=false", *options)
    inspected: dict[str, Any] = json.loads(_output(["skopeo", "inspect", *options, image]))
    return inspected


def buildah_pull(reference: str) -> str:
    """``buildah pull`` into a storage that is thrown away; the id of the image."""
    directory = Path(tempfile.mkdtemp(prefix="buildah-", dir="/var/tmp"))
    try:
        places = [f"--root={directory}/root", f"--runroot={directory}/run"]
        return _output([*_OWN_MOUNTS, "buildah", *places, "pull", "--quiet", "--tls-verify=false", reference]).strip()
    finally:
        remove_tree(directory)


def _mounts_below(directory: Path) -> list[str]:
    mounts = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
    return [mount for mount in reversed(mounts) if Path(mount).is_relative_to(directory)]


def _output(command: Sequence[str]) -> str:
    result = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=240)
    assert result.returncode == 0, (
        f"{' '.join(command)}: exit status {result.returncode}\n{result.stdout}{result.stderr}"
    )
    return result.stdout
