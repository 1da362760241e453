"""What a run of a program cost, and the middle of several runs."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_PROGRAM = Path(__file__).with_name("measured.py")


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """What a run cost.

    Attributes:
        wall: seconds from its start to its end; `user` and `system`: of the processor, all processes together.
        peak: memory of all its processes together, in KiB.
        pushed: bytes of the layers that are in the image but not in its base.
    """

    wall: float
    user: float
    system: float
    peak: int
    pushed: int = 0

    def __str__(self) -> str:
        used = f"{self.wall:.2f} s, user {self.user:.2f}, system {self.system:.2f}"
        return f"{used}, peak {self.peak / 1024:.0f} MiB, pushed {self.pushed / 1e6:.1f} MB"

    @property
    def cpu(self) -> float:
        return self.user + self.system


def measured(command: Sequence[str], environment: Mapping[str, str], directory: Path) -> Measurement:
    """Run `command` to its end in `directory`. AssertionError with what it wrote, if it fails.

    What earlier runs have written goes to the disk first, so that it is not this one's to wait for.
    """
    os.sync()
    with tempfile.TemporaryDirectory(prefix="measured-", dir=directory) as place:
        result, log = Path(place) / "result", Path(place) / "log"
        own = [sys.executable, "-I", "-S", str(_PROGRAM), str(result), str(log)]
        subprocess.run([*own, *command], env=dict(environment), cwd=directory, check=True, stdin=subprocess.DEVNULL)
        found = json.loads(result.read_text())
        status = found.pop("status")
        assert status == 0, f"exit status {status}: {' '.join(command)}\n{log.read_text(errors='replace')[-6000:]}"
    return Measurement(**found)


def median(runs: Sequence[Measurement]) -> Measurement:
    """The median of each figure."""
    return Measurement(
        wall=statistics.median(run.wall for run in runs),
        user=statistics.median(run.user for run in runs),
        system=statistics.median(run.system for run in runs),
        peak=round(statistics.median(run.peak for run in runs)),
        pushed=round(statistics.median(run.pushed for run in runs)),
    )
