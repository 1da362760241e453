"""The builder in its own image, in a container: it builds in place."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from pathlib import Path

from support.docker_daemon import DockerDaemon

from benchmarks.measure import Measurement


@dataclass(slots=True, kw_only=True)
class InPlace:
    """One container a build.

    Attributes:
        image: the builder's, known to `daemon`.
        directory: holds the contexts; mounted at the same place.
    """

    daemon: DockerDaemon
    image: str
    directory: Path
    name: str = "in place"
    _around: float | None = field(default=None)

    def build(self, context: Path, reference: str, state: Path, *options: str) -> Measurement:
        """One run; its time without that of a container that does nothing. Memory and processor are not measured."""
        around = self._time("version") if self._around is None else self._around
        self._around = around
        os.sync()
        wall = self._time(f"--context={context}", f"--destination={reference}", "--isolation=in-place", *options)
        return Measurement(wall=wall - around, user=0, system=0, peak=0)

    def _time(self, *arguments: str) -> float:
        started = time.monotonic()
        files = {self.directory: str(self.directory)}
        self.daemon.run(self.image, *arguments, files=files).ok()
        return time.monotonic() - started
