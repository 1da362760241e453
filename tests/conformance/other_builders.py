"""Other people's builders on the same cases: the Docker Engine (with its BuildKit) and Buildah, both as root.

What they need from the machine (Debian's `docker.io` and `buildah`) is theirs alone: storage, sockets and mounts are in
a directory of the tests and are gone afterwards.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from support.builder import Outcome, remove_tree
from support.registry import LoopbackRegistry

from conformance.builds import Prepared

_DOCKER = "/usr/bin/docker"  # Debian's; others may be installed beside it
_OWN_MOUNTS = ["unshare", "--mount", "sh", "-c", 'umount /sys/fs/cgroup/unified 2>/dev/null; exec "$@"', "sh"]
_FLAGS = ("--build-arg", "--target", "--label", "--dockerfile", "--secret", "--custom-platform", "--build-context")
_NAMES = {"--dockerfile": "--file", "--custom-platform": "--platform"}


class OtherBuilder(Protocol):
    """Builds what is prepared and pushes it to `reference`."""

    def build(self, prepared: Prepared, reference: str) -> Outcome: ...


class UnknownFlag(Exception):
    """A flag of the case has no counterpart."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Docker:
    """A Docker Engine of the tests' own; made by `docker_engine`."""

    socket: Path

    def build(self, prepared: Prepared, reference: str) -> Outcome:
        flags = _translated(prepared)
        done = self._docker(prepared, "build", "--network=host", f"--tag={reference}", *flags, str(prepared.context))
        return done if done.status else self._docker(prepared, "push", reference)

    def _docker(self, prepared: Prepared, *arguments: str) -> Outcome:
        environment = {"DOCKER_BUILDKIT": "1", **prepared.environment}
        return _run([_DOCKER, f"--host=unix://{self.socket}", *arguments], environment)


@dataclass(frozen=True, slots=True, kw_only=True)
class Buildah:
    """Buildah with a storage of its own; made by `buildah`."""

    directory: Path

    def build(self, prepared: Prepared, reference: str) -> Outcome:
        options = ["--isolation=chroot", "--network=host", "--tls-verify=false", "--format=docker", "--layers=false"]
        options += ["--ulimit=nofile=1024:1024", "--ulimit=nproc=4096:4096"]
        done = self._buildah(
            prepared, "bud", *options, f"--tag={reference}", *_translated(prepared), str(prepared.context)
        )
        return done if done.status else self._buildah(prepared, "push", "--tls-verify=false", reference)

    def _buildah(self, prepared: Prepared, *arguments: str) -> Outcome:
        places = [f"--root={self.directory}/root", f"--runroot={self.directory}/run", "--storage-driver=overlay"]
        registries = {"CONTAINERS_REGISTRIES_CONF": str(self.directory / "registries.conf")}
        return _run([*_OWN_MOUNTS, "buildah", *places, *arguments], {**registries, **prepared.environment})


@contextlib.contextmanager
def docker_engine(registry: LoopbackRegistry) -> Iterator[Docker]:
    """A running `dockerd`, for which `registry` stands in for Docker Hub."""
    directory = Path(tempfile.mkdtemp(prefix="dockerd-", dir="/var/tmp"))
    places = [f"--data-root={directory}/data", f"--exec-root={directory}/exec", f"--pidfile={directory}/pid"]
    network = ["--iptables=false", "--bridge=none", f"--registry-mirror=http://{registry.host}"]
    command = [*_OWN_MOUNTS, "dockerd", *places, *network, f"--host=unix://{directory}/socket"]
    with open(directory / "log", "wb") as log:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
    try:
        _wait_for(directory)
        yield Docker(socket=directory / "socket")
    finally:
        process.terminate()
        process.wait(60)
        _clean(directory)


@contextlib.contextmanager
def buildah(registry: LoopbackRegistry) -> Iterator[Buildah]:
    """A Buildah, for which `registry` stands in for Docker Hub."""
    directory = Path(tempfile.mkdtemp(prefix="buildah-", dir="/var/tmp"))
    (directory / "registries.conf").write_text(
        'unqualified-search-registries = ["docker.io"]\nshort-name-mode = "permissive"\n'
        f'[[registry]]\nprefix = "docker.io"\nlocation = "{registry.host}"\ninsecure = true\n'
    )
    try:
        yield Buildah(directory=directory)
    finally:
        _clean(directory)


def _wait_for(directory: Path) -> None:
    deadline = time.monotonic() + 60
    while subprocess.run([_DOCKER, f"--host=unix://{directory}/socket", "info"], capture_output=True).returncode:
        if time.monotonic() > deadline:
            raise RuntimeError(f"dockerd does not answer:\n{(directory / 'log').read_text(errors='replace')}")
        time.sleep(0.1)


def _clean(directory: Path) -> None:
    mounts = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
    for mount in reversed([mount for mount in mounts if Path(mount).is_relative_to(directory)]):
        subprocess.run(["umount", "--lazy", mount], check=False)
    remove_tree(directory)


def _translated(prepared: Prepared) -> Sequence[str]:
    """Our flags as the others spell them. Raises UnknownFlag."""
    found = []
    flags = iter(prepared.flags)
    for flag in flags:
        name, equals, value = flag.partition("=")
        if name not in _FLAGS:
            raise UnknownFlag(name)
        if not equals:
            value = next(flags)
        if name == "--dockerfile":
            value = str(prepared.context / value)
        found.append(f"{_NAMES.get(name, name)}={value}")
    return found


def _run(command: Sequence[str], environment: dict[str, str]) -> Outcome:
    variables = {"PATH": os.environ["PATH"], "HOME": "/root", "LANG": "C.UTF-8", **environment}
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", env=variables, timeout=240
    )
    return Outcome(status=done.returncode, stdout=done.stdout, stderr=done.stderr)
