"""The steps of a stage as people see them: ``[name 2/5]``, as BuildKit counts."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count

from builder.dockerfile.syntax import Add, Copy, Instruction, Run, Workdir
from builder.engine.located import Stopped
from builder.isolation.base import Cancelled
from builder.progress import Outcome, Progress, Step, StepFinished, StepStarted, current_step

_COUNTED = (Run, Copy, Add, Workdir)


@dataclass(slots=True, kw_only=True)
class Ending:
    """How a step ends that does not fail: ``cached`` from where, or ``done`` and why it had to be."""

    outcome: Outcome = "done"
    detail: str = ""


class Steps:
    """Numbers the steps of all stages of a build. Thread-safe."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._ids = count(1)
        self._lock = threading.Lock()

    def of_stage(
        self, name: str, instructions: tuple[Instruction, ...], *, image: bool, before: int = 0, after: int = 0
    ) -> StageSteps:
        """The steps of a stage, or of the part of it that has so many steps `before` and `after` it."""
        total = sum(isinstance(each, _COUNTED) for each in instructions) + image
        return StageSteps(self, name, before, before + total + after)

    def next_id(self) -> int:
        with self._lock:
            return next(self._ids)

    @contextmanager
    def running(self, step: Step) -> Iterator[Ending]:
        """Tell that a step begins, and how it ends; of a good end the block may say more."""
        started = time.monotonic()
        ending = Ending()
        self._progress.emit(StepStarted(step))
        token = current_step.set(step)
        try:
            yield ending
        except (Stopped, Cancelled):
            self._progress.emit(StepFinished(step, "skipped", time.monotonic() - started))
            raise
        except BaseException:
            self._progress.emit(StepFinished(step, "failed", time.monotonic() - started))
            raise
        finally:
            current_step.reset(token)
        self._progress.emit(StepFinished(step, ending.outcome, time.monotonic() - started, ending.detail))


class StageSteps:
    """The steps of one stage, in order."""

    def __init__(self, steps: Steps, name: str, done: int, total: int) -> None:
        self._steps, self._name, self._total = steps, name, total
        self._number = done

    def step(self, instruction: Instruction, text: str | None = None) -> Step:
        """The next step."""
        self._number += 1
        width = len(str(self._total))
        name = " ".join(part for part in (self._name, f"{self._number:>{width}}/{self._total}") if part)
        return Step(
            id=self._steps.next_id(),
            name=f"[{name}]",
            text=text or instruction.text,
            line=instruction.location.line,
        )


def is_counted(instruction: Instruction) -> bool:
    """Whether an instruction is a step; those that only change the config are not."""
    return isinstance(instruction, _COUNTED)
