"""Runs the builder in place: each run is a container of the real Docker Engine, with nothing but Docker's defaults."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from support.builder import Builder, Outcome
from support.docker_daemon import DockerDaemon


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerBuilder(Builder):
    """The builder in its own image.

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
