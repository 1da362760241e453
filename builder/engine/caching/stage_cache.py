"""The steps of one stage, one after another, and the caches."""

from __future__ import annotations

from collections.abc import Sequence

from builder.cache.steps import StepPlace
from builder.dockerfile.syntax import Copy, Instruction, Run, Workdir
from builder.engine.build_state import BuildState
from builder.engine.caching.describe import Described
from builder.engine.caching.origin import Origin
from builder.engine.caching.step_cache import StepCache
from builder.engine.caching.step_inputs import Step
from builder.engine.instructions.remote import Surroundings
from builder.engine.instructions.workdir import absolute
from builder.engine.plan import PlannedStage
from builder.engine.prefetch import begin_reading
from builder.engine.stage import Stage


class StageCache:
    """Looks up the steps of `stage`; once one has to be built, the base is read ahead."""

    def __init__(self, state: BuildState, planned: PlannedStage, stage: Stage) -> None:
        self._state, self._planned, self._stage = state, planned, stage
        self._number = 0
        self._reading = False

    @property
    def used(self) -> bool:
        """Whether anything is kept."""
        return bool(self._state.caching.caches)

    def step(self, instruction: Step, around: Surroundings, origins: Sequence[Origin]) -> StepCache | None:
        """The next step of the stage; None if it is not for caches."""
        number, chain = self._number, self._stage.chain
        self._number += 1
        if not self.used or chain is None or chain.identity is None or not self.makes_layer(instruction):
            return None
        described = Described(
            stage=self._stage,
            instruction=instruction,
            request=self._state.request,
            place=self._place(number),
            beneath=chain.identity,
            origins=origins,
            context=self._state.context,
            files=self._state.caching.files,
            lock=self._state.context_lock,
            around=around,
        )
        return StepCache(described.inputs(), chain, self._state.caching, unasked=self._unasked())

    def origins(self, instruction: Step) -> list[Origin]:
        """Where ``--from`` of the instruction and of its mounts lead. Waits for stages; raises what they raised."""
        names: list[str] = []
        if isinstance(instruction, Copy) and instruction.from_ is not None:
            names = [instruction.from_]
        elif isinstance(instruction, Run):
            names = [mount.from_ for mount in instruction.mounts if mount.type in ("bind", "cache") and mount.from_]
        return [self._state.origin(name, self._stage.platform) for name in names]

    def missed(self, rest: Sequence[Instruction]) -> None:
        """An instruction is going to be carried out, and `rest` after it: begin to read what that needs."""
        if not self._reading:
            self._reading = True
            services = self._state.services
            unpack, in_turn = services.isolation is not None, services.container is not None
            begin_reading(self._state.plan, self._planned, self._stage, rest, unpack=unpack, in_turn=in_turn)

    def makes_layer(self, instruction: Step) -> bool:
        """Whether an instruction that has its turn makes a layer; ``WORKDIR /`` does not, and looks at no file."""
        return not isinstance(instruction, Workdir) or absolute(self._stage.config.working_dir, instruction.path) != "/"

    def _place(self, number: int) -> StepPlace:
        planned = self._planned
        return StepPlace(
            dockerfile=self._state.caching.dockerfile,
            stage=planned.name or str(planned.index),
            position=planned.before + number,
            first=number == 0 and not planned.continues,
        )

    def _unasked(self) -> str | None:
        request = self._state.request
        if request.no_cache:
            return "--no-cache"
        name = self._state.plan.graph.nodes[self._planned.index].stage.name
        return "--no-cache-filter" if name in request.no_cache_filter else None
