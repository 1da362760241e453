"""Runs a command and writes what it cost as JSON: ``measured.py RESULT LOG COMMAND...`` (a program of its own).

Everything that the command starts counts, also what outlives it for a moment: this process adopts it. The result has
``status``, ``wall``, ``user`` and ``system`` in seconds, and ``peak``, the largest proportional set size (memory, that
which is shared counted once) of all its processes together, in KiB, looked at ten times a second.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import resource
import sys
import threading
import time

_PR_SET_CHILD_SUBREAPER = 36
_BETWEEN_SAMPLES = 0.1


def main(result: str, log: str, command: list[str]) -> None:
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    null = os.open(os.devnull, os.O_RDONLY)
    actions = [(os.POSIX_SPAWN_DUP2, null, 0), (os.POSIX_SPAWN_DUP2, output, 1), (os.POSIX_SPAWN_DUP2, output, 2)]
    started = time.monotonic()
    child = os.posix_spawnp(command[0], command, os.environ, file_actions=actions)
    sampler = Sampler()
    status, wall = 1, 0.0
    with contextlib.suppress(ChildProcessError):
        while True:
            pid, ended = os.wait()
            if pid == child:
                status, wall = os.waitstatus_to_exitcode(ended), time.monotonic() - started
    peak = sampler.finish()
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    measured = {"status": status, "wall": wall, "user": used.ru_utime, "system": used.ru_stime, "peak": peak}
    with open(result, "w") as file:
        json.dump(measured, file)


class Sampler:
    """A thread that looks at the memory of all descendants of this process."""

    def __init__(self) -> None:
        self._peak = 0
        self._finished = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def finish(self) -> int:
        self._finished.set()
        self._thread.join()
        return self._peak

    def _run(self) -> None:
        while not self._finished.wait(_BETWEEN_SAMPLES):
            self._peak = max(self._peak, sum(_memory(pid) for pid in _descendants(os.getpid())))


def _descendants(pid: int) -> list[int]:
    found = []
    with contextlib.suppress(OSError):
        for task in os.listdir(f"/proc/{pid}/task"):
            with contextlib.suppress(OSError), open(f"/proc/{pid}/task/{task}/children") as file:
                for child in map(int, file.read().split()):
                    found += [child, *_descendants(child)]
    return found


def _memory(pid: int) -> int:
    with contextlib.suppress(OSError), open(f"/proc/{pid}/smaps_rollup") as file:
        for line in file:
            if line.startswith("Pss:"):
                return int(line.split()[1])
    return 0


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3:])
