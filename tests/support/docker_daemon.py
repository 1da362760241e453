"""A real Docker Engine of the tests' own: Debian's dockerd, with its own storage and socket."""

from __future__ import annotations

import contextlib
import os
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from support.builder import Outcome, remove_tree

_PROGRAM = "/usr/bin/docker"  # Debian's; others may come first in PATH
# A mount namespace of its own: dockerd, too, takes a mounted /sys/fs/cgroup/unified for a hierarchy that it can use.
_OWN_MOUNTS = ["unshare", "--mount", "sh", "-c", 'umount /sys/fs/cgroup/unified 2>/dev/null; exec "$@"', "sh"]
_START_SECONDS = 60


class EngineError(Exception):
    """The engine does not start, or is not installed."""


@dataclass(frozen=True, slots=True)
class DockerDaemon:
    """A running engine.

    Containers have the host's network, as the registries of the tests are on its loopback interface, and otherwise
    what Docker gives by default: its capabilities and its seccomp filter.
    """

    directory: Path

    @property
    def address(self) -> str:
        """For the variable DOCKER_HOST."""
        return f"unix://{self.directory}/socket"

    def load(self, archive: Path) -> str:
        """``docker load``; the name of the image."""
        return self.docker("load", "--input", str(archive)).ok().stdout.strip().removeprefix("Loaded image: ")

    def run(
        self,
        image: str,
        *command: str,
        options: Sequence[str] = (),
        files: Mapping[Path, str] | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> Outcome:
        """``docker run`` in the host's network.

        Args:
            options: more options.
            files: what is mounted where, by its path on the host.
            environment: variables of the container.
        """
        mounts = [f"--volume={source}:{target}" for source, target in (files or {}).items()]
        variables = [f"--env={name}={value}" for name, value in (environment or {}).items()]
        return self.docker("run", "--rm", "--network=host", *mounts, *variables, *options, image, *command)

    def docker(self, *arguments: str, timeout: float = 240) -> Outcome:
        done = subprocess.run(
            [_PROGRAM, *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            env={"PATH": os.environ["PATH"], "DOCKER_HOST": self.address, "HOME": str(self.directory)},
        )
        return Outcome(status=done.returncode, stdout=done.stdout, stderr=done.stderr)


@contextlib.contextmanager
def docker_daemon() -> Iterator[DockerDaemon]:
    """A Docker Engine that is gone afterwards, with all its containers and images."""
    if not os.path.exists(_PROGRAM):
        raise EngineError(f"there is no {_PROGRAM}")
    directory = Path(tempfile.mkdtemp(prefix="docker-", dir="/var/tmp"))
    process = _start(directory)
    daemon = DockerDaemon(directory)
    try:
        _wait(process, daemon)
        yield daemon
        containers = daemon.docker("ps", "--all", "--quiet").stdout.split()
        if containers:
            daemon.docker("rm", "--force", *containers)
    finally:
        process.terminate()
        process.wait(30)
        for mount in _mounts_below(directory):
            subprocess.run(["umount", "--lazy", mount], check=False)
        remove_tree(directory)


def _start(directory: Path) -> subprocess.Popen[bytes]:
    command = [
        *("dockerd", "--iptables=false", "--bridge=none", f"--data-root={directory}/data"),
        *(f"--exec-root={directory}/exec", f"--pidfile={directory}/pid", f"--host=unix://{directory}/socket"),
    ]
    with open(directory / "log", "wb") as log:
        return subprocess.Popen(
            [*_OWN_MOUNTS, *command], stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )


def _wait(process: subprocess.Popen[bytes], daemon: DockerDaemon) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while daemon.docker("version").status:
        if process.poll() is not None or time.monotonic() > deadline:
            log = (daemon.directory / "log").read_text(errors="replace")
            raise EngineError(f"dockerd does not answer:\n{log[-4000:]}")
        time.sleep(0.1)


def _mounts_below(directory: Path) -> list[str]:
    mounts = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
    return [mount for mount in reversed(mounts) if Path(mount).is_relative_to(directory)]
