"""Asking far caches ahead: many keys of coming steps can be told before anything is built."""

from __future__ import annotations

import contextlib
import copy
import threading

from builder.dockerfile.expand import expanded
from builder.dockerfile.stages import StageBase
from builder.dockerfile.syntax import Add, Arg, Copy, Instruction, Run, Workdir
from builder.engine.build_state import BuildState
from builder.engine.caching.stage_cache import StageCache
from builder.engine.caching.step_inputs import Step
from builder.engine.instructions import config, workdir
from builder.engine.instructions.remote import Surroundings, is_remote
from builder.engine.plan import PlannedStage
from builder.engine.stage import Stage
from builder.errors import BuilderError


def ask_ahead(state: BuildState, planned: PlannedStage, stage: Stage) -> None:
    """Go through the instructions of a stage that begins, in a thread of its own, and have all keys looked up."""
    ahead = _Ahead(state, planned, stage)
    # a daemon: a registry that does not answer must not keep a build alive
    threading.Thread(target=ahead.run, name=f"ahead-{planned.index}", daemon=True).start()


class _Ahead:
    def __init__(self, state: BuildState, planned: PlannedStage, stage: Stage) -> None:
        self._state, self._planned = state, planned
        self._shadow = copy.copy(stage)  # its config goes ahead of the stage's, files it has none
        self._shadow.scope = stage.scope.copied()
        self._shadow.history, self._shadow.layers = [], []
        self._cache = StageCache(state, planned, self._shadow)

    def run(self) -> None:
        # What is wrong with an instruction is told when its turn has come.
        with contextlib.suppress(BuilderError, OSError):
            for instruction in self._planned.instructions:
                if self._state.stopped.is_set() or not self._goes_on(instruction):
                    return

    def _goes_on(self, instruction: Instruction) -> bool:
        """Take one instruction; whether what follows can be known."""
        escape = self._state.plan.dockerfile.escape
        if isinstance(instruction, Arg):
            config.arg(self._shadow, instruction, escape)
            return True
        instruction, _ = expanded(instruction, self._shadow.scope.get, escape)
        if not isinstance(instruction, Step):
            config.configure(self._shadow, instruction)
            return True
        return self._step(instruction)

    def _step(self, instruction: Step) -> bool:
        if self._waits(instruction):
            return False
        around = Surroundings(
            sources=self._state.context,
            time=self._state.time,
            scratch=self._state.services.scratch,
            environment=self._state.request.environment,
            network=self._state.services.registries.network,
        )
        cached = self._cache.step(instruction, around, self._cache.origins(instruction))
        if isinstance(instruction, Workdir):
            workdir.enter(self._shadow, instruction)
        if cached is None:
            return isinstance(instruction, Workdir)  # it is the root, which has no layer
        self._shadow.chain = cached.ask_ahead()
        return self._shadow.chain is not None

    def _waits(self, instruction: Step) -> bool:
        """Whether to know the key means to wait for a stage, or to fetch something that is fetched again later."""
        if isinstance(instruction, Add):
            return any(map(is_remote, instruction.sources))
        names = [mount.from_ for mount in instruction.mounts if mount.from_] if isinstance(instruction, Run) else []
        if isinstance(instruction, Copy) and instruction.from_ is not None:
            names.append(instruction.from_)
        found = [self._state.plan.graph.source(name) for name in names]
        return any(isinstance(each, StageBase) and not self._state.results[each.index].done() for each in found)
