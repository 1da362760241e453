"""Runs the builder in place: in containers of the real Docker Engine, with nothing but Docker's defaults."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue

from support.builder import Builder, Outcome
from support.docker_daemon import DockerDaemon

InShell = Callable[..., Outcome]
"""Runs a script in a container: ``(script, *, dockerfiles, options, **environment)``."""
EXECUTOR = "/kaniko/executor --insecure --insecure-pull"
LIST = """
list() {
    find / -xdev ! -path '/proc*' ! -path '/sys*' ! -path '/dev*' ! -path '/busybox*' ! -path '/kaniko*' \
        ! -path '/workspace*' | sort | while read -r file; do
        stat -c '%F %a %u:%g %s %Y %n' "$file" | grep -v '^directory.* /etc$'; readlink "$file"
    done
}
mkdir -p /opt/own /root/deep; echo mine > /opt/own/file; ln -s own /opt/link; chmod 700 /opt; chown 5:6 /opt/own
list > /workspace/before
"""
"""For such a script: `list` names all files of the container; it makes some, and notes them in /workspace/before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerBuilder(Builder):
    """The builder in its own image; each run is a container of its own.

    Attributes:
        image: the builder's, known to `daemon`.
        shared: directories of the machine that are mounted at the same place, among them the contexts.
        options: more options of ``docker run``.
    """

    daemon: DockerDaemon
    image: str
    shared: tuple[Path, ...] = ()
    options: Sequence[str] = ()

    def run(self, *arguments: str | Path, timeout: float = 240, stdin: bytes = b"", peak: bool = False) -> Outcome:
        return self.daemon.run(
            self.image,
            *map(str, arguments),
            options=self.options,
            files={path: str(path) for path in self.shared},
            environment=self.environment,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class LastingContainerBuilder(Builder):
    """The builder in containers that go on: one run after another in each, as the lines of a job's script are.

    Attributes:
        idle: the containers in which nothing runs.
    """

    daemon: DockerDaemon
    idle: SimpleQueue[str]

    def run(self, *arguments: str | Path, timeout: float = 240, stdin: bytes = b"", peak: bool = False) -> Outcome:
        variables = [f"--env={name}={value}" for name, value in self.environment.items()]
        container = self.idle.get()
        try:
            command = [container, "/kaniko/executor", *map(str, arguments)]
            return self.daemon.docker("exec", *variables, *command, timeout=timeout)
        finally:
            self.idle.put(container)


@contextlib.contextmanager
def lasting_containers(
    daemon: DockerDaemon, image: str, count: int, *shared: Path
) -> Iterator[LastingContainerBuilder]:
    """A builder in `count` containers of the debug image `image`.

    At the end each must have the files that it had at first; AssertionError if not.

    Args:
        shared: directories of the machine that are mounted at the same place, among them the contexts.
    """
    mounts = [f"--volume={path}:{path}" for path in shared]
    start = ["run", "--detach", "--rm", "--network=host", *mounts, "--entrypoint=/busybox/tail", image]
    containers = [daemon.docker(*start, "-f", "/dev/null").ok().stdout.strip() for _ in range(count)]
    try:
        before = {container: files_of(daemon, container, shared) for container in containers}
        idle: SimpleQueue[str] = SimpleQueue()
        for container in containers:
            idle.put(container)
        nowhere = Path("/nonexistent")
        yield LastingContainerBuilder(python=nowhere, home=nowhere, state=nowhere, daemon=daemon, idle=idle)
        for container in containers:
            assert files_of(daemon, container, shared) == before[container]
    finally:
        daemon.docker("rm", "--force", *containers)


def files_of(daemon: DockerDaemon, container: str, shared: Sequence[Path]) -> list[str]:
    """Every file of a container's own, which is the builder's not: type, mode, owner, size, time, name and target."""
    not_own = ["/proc", "/sys", "/dev", "/busybox", "/kaniko", *map(str, shared)]
    left_out = [word for path in not_own for word in ("!", "-path", f"{path}*")]
    listed = daemon.docker("exec", container, "/busybox/find", "/", "-xdev", *left_out, "-exec", *_STAT, "{}", "+")
    return sorted(listed.ok().stdout.splitlines())


_STAT = ("/busybox/stat", "-c", "%F %a %u:%g %s %Y %N")
