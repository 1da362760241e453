"""Carrying out the instructions of one stage."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import replace
from typing import Any

from builder.cache.base import CachedLayer
from builder.dockerfile import syntax
from builder.dockerfile.expand import expanded
from builder.engine.bases import BaseImage
from builder.engine.build_state import BuildState
from builder.engine.caching.ahead import ask_ahead
from builder.engine.caching.chain import begun
from builder.engine.caching.hits import apply
from builder.engine.caching.stage_cache import StageCache
from builder.engine.caching.step_cache import StepCache
from builder.engine.caching.step_inputs import Step
from builder.engine.foundations import OnImage, OnNothing, OnStage
from builder.engine.instructions import config
from builder.engine.instructions.files import transfer
from builder.engine.instructions.remote import Surroundings
from builder.engine.instructions.run import run
from builder.engine.instructions.workdir import workdir
from builder.engine.layers import Layer
from builder.engine.located import Stopped, located
from builder.engine.mounts.prepare import MountSources
from builder.engine.plan import PlannedStage
from builder.engine.prefetch import exported_line, is_last_user, looks_at_tree
from builder.engine.scope import Scope
from builder.engine.stage import Stage, complete_history, initial_config, scratch_image
from builder.engine.steps import StageSteps, is_counted
from builder.errors import BuilderError
from builder.image.media_types import Family
from builder.layer.changes import Changes
from builder.progress import Step as ProgressStep
from builder.rootfs.layer_files import extract_contents
from builder.rootfs.tree import FileTree, merged


class StageBuilder:
    """Builds one stage.

    Args:
        below: the stage that it is FROM, complete; None if it is FROM an image or scratch.
    """

    def __init__(self, state: BuildState, planned: PlannedStage, below: Stage | None) -> None:
        self._state, self._planned = state, planned
        self._stage = _begin(state, planned, below)
        self._steps: StageSteps = state.steps.of_stage(
            planned.name,
            planned.instructions,
            image=isinstance(planned.base, BaseImage),
            before=planned.before,
            after=planned.after,
        )
        self._exported = planned.index in exported_line(state.plan)
        self._cache = StageCache(state, planned, self._stage)
        self._unexported: list[Future[Layer]] = []
        self._before = FileTree()
        self._snapshot: dict[str, Any] = {}

    def build(self) -> Stage:
        """Carry out all instructions; layers may still be written afterwards.

        Raises BuilderError, with the place of the instruction; Stopped.
        """
        self._from()
        if self._state.caching.asks_far:
            ask_ahead(self._state, self._planned, self._stage)
        if self._state.request.single_snapshot and self._exported:
            self._before = self._stage.fork_tree()
        for number, instruction in enumerate(self._planned.instructions):
            if self._state.stopped.is_set():
                raise Stopped
            try:
                self._execute(instruction, self._planned.instructions[number:])
            except BuilderError as error:
                raise located(error, instruction, self._planned.name) from error
        if self._state.request.single_snapshot and self._exported:
            self._pack(self._snapshot)
        if self._state.services.container is not None:
            self._settle_unexported()  # the next stage replaces the files
        return self._stage

    def _from(self) -> None:
        if isinstance(self._planned.base, BaseImage):
            step = self._steps.step(self._planned.from_, f"FROM {self._planned.base.name}")
            with self._state.steps.running(step):
                return  # its layers are read ahead, or when something needs them

    def _execute(self, instruction: syntax.Instruction, rest: Sequence[syntax.Instruction]) -> None:
        escape = self._state.plan.dockerfile.escape
        if isinstance(instruction, syntax.Arg):
            config.arg(self._stage, instruction, escape)
            return
        instruction, _ = expanded(instruction, self._stage.scope.get, escape)
        if not is_counted(instruction):
            config.configure(self._stage, instruction)
            return
        assert isinstance(instruction, Step)
        self._carry_out(instruction, rest)

    def _carry_out(self, instruction: Step, rest: Sequence[syntax.Instruction]) -> None:
        """Take the result from a cache, or do it."""
        step, origins = self._steps.step(instruction), self._cache.origins(instruction)
        around = self._surroundings()
        cached = self._cache.step(instruction, around, origins)
        hit = cached.find() if cached is not None else None
        if cached is not None and hit is not None:
            self._use(hit, instruction, step, cached)
            return
        makes_layer = self._cache.makes_layer(instruction)
        if makes_layer:
            self._cache.missed(rest)
        if isinstance(instruction, syntax.Copy) and origins:
            around = replace(around, sources=origins[0].tree())
        if makes_layer:
            self._await_base(instruction)
        with self._state.working, self._state.steps.running(step) as ending:
            ending.detail = cached.reason if cached is not None else ""
            changes = self._changes(instruction, step, around)
            if changes is not None:
                self._add_layer(changes, cached)

    def _await_base(self, instruction: Step) -> None:
        """Wait for the layers below, before the instruction is at work: if they do not come, others go on."""
        runs = isinstance(instruction, syntax.Run)
        if looks_at_tree(instruction) and not (runs and self._state.services.isolation is None):
            self._stage.await_base(files=runs)

    def _surroundings(self) -> Surroundings:
        return Surroundings(
            sources=self._state.context,
            time=self._state.time,
            scratch=self._state.services.scratch,
            environment=self._state.request.environment,
            network=self._state.services.registries.network,
        )

    def _use(self, hit: CachedLayer, instruction: Step, step: ProgressStep, cached: StepCache) -> None:
        with self._state.steps.running(step) as ending:
            ending.outcome, ending.detail = "cached", hit.origin
            fixed = self._state.request.format
            seconds = self._state.created if fixed.reproducible or fixed.epoch is not None else None
            layer = apply(hit, self._stage, instruction, self._state.services, seconds=seconds)
            self._stage.chain = cached.after(hit)
            if self._exported:
                self._state.finished(layer)

    def _changes(self, instruction: Step, step: ProgressStep, around: Surroundings) -> Changes | None:
        state, stage = self._state, self._stage
        if isinstance(instruction, syntax.Workdir):
            made = workdir(stage, instruction, state.time)
            return None if made is None else stage.changed(made)
        if isinstance(instruction, (syntax.Copy, syntax.Add)):
            changes = transfer(stage, instruction, around, state.context_lock)
            extract_contents(changes.values())
            return changes
        network = state.request.network
        return run(stage, instruction, state.services, step, self._mount_sources(), self._settle, network)

    def _mount_sources(self) -> MountSources:
        state = self._state
        return MountSources(
            tree=lambda name: state.source(name, self._stage.platform) if name else state.context,
            context=None if state.request.ignore else state.request.context,
            caches=state.caches,
            confidential=state.request.confidential,
            environment=dict(state.request.environment),
            ownership=state.services.ownership,
            scratch=state.services.scratch,
        )

    def _add_layer(self, changes: Changes, cached: StepCache | None) -> None:
        """Begin to write the layer; of a stage that is only copied from, for caches alone."""
        if self._state.request.single_snapshot:
            self._add_to_snapshot(changes)
            return
        layer = None
        if self._exported:
            layer = self._pack(changes)
        elif cached is not None:
            layer = self._state.packer.pack(changes, self._stage.family, _nobody)
            self._unexported.append(layer)
        if cached is not None and layer is not None:
            cached.keep(layer, self._state.created)
            self._stage.chain = cached.after(layer)
        elif self._stage.chain is not None:
            self._stage.chain = replace(self._stage.chain, identity=None)

    def _add_to_snapshot(self, changes: Changes) -> None:
        if self._exported:
            self._snapshot = merged(self._snapshot, changes, self._before)
            last = self._stage.history[-1]
            self._stage.history[-1] = replace(last, empty_layer=True)

    def _pack(self, changes: Changes) -> Future[Layer]:
        if self._state.request.single_snapshot:
            self._stage.note("single snapshot # buildkit", empty_layer=False)
        packed = self._state.packer.pack(changes, self._stage.family, self._state.finished)
        self._stage.layers.append(packed)
        return packed

    def _settle(self) -> None:
        """Wait until all layers are written, because their files are about to change."""
        for layer in self._stage.layers:
            layer.result()
        self._settle_unexported()

    def _settle_unexported(self) -> None:
        for layer in self._unexported:
            with contextlib.suppress(BuilderError):  # it costs a cache an entry, not the build
                layer.result()


def _nobody(_layer: Layer) -> None:
    return


def _begin(state: BuildState, planned: PlannedStage, below: Stage | None) -> Stage:
    """The state that a stage begins with: that of its base."""
    scope = Scope(state.request.build_args, state.plan.global_args)
    if below is not None and planned.continues:
        return _second_part(state, planned, below, scope)
    if below is not None:
        scope.inherit(below.scope)
        stage = Stage(
            name=planned.name,
            platform=below.platform,
            family=below.family,
            image=below.image,
            config=initial_config(below.config),
            scope=scope,
            base=OnStage(stage=below, last=is_last_user(state.plan, planned)),
            created=state.created,
            history=list(below.history),
            layers=list(below.layers),
            chain=below.chain,
            inherited=below.inherited,
        )
    elif isinstance(planned.base, BaseImage):
        stage = _on_image(state, planned, planned.base, scope)
    else:
        image = scratch_image(planned.platform)
        stage = Stage(
            name=planned.name,
            platform=planned.platform,
            family=Family.OCI,
            image=image,
            config=initial_config(image.config),
            scope=scope,
            base=OnNothing(services=state.services),
            created=state.created,
            chain=begun(()),
        )
    for variable in stage.config.env:
        name, _, value = variable.partition("=")
        scope.set_env(name, value)
    if state.request.format.family is not None:
        stage.family = state.request.format.family
    return stage


def _second_part(state: BuildState, planned: PlannedStage, first: Stage, scope: Scope) -> Stage:
    """A stage that goes on as if it had never been cut in two."""
    scope.carry_on(first.scope)
    return Stage(
        name=planned.name,
        platform=first.platform,
        family=first.family,
        image=first.image,
        config=first.config,
        scope=scope,
        base=OnStage(stage=first, last=is_last_user(state.plan, planned)),
        created=first.created,
        history=list(first.history),
        layers=list(first.layers),
        cmd_is_own=first.cmd_is_own,
        chain=first.chain,
        inherited=first.inherited,
    )


def _on_image(state: BuildState, planned: PlannedStage, base: BaseImage, scope: Scope) -> Stage:
    return Stage(
        name=planned.name,
        platform=planned.platform,
        family=base.family,
        image=base.config,
        config=initial_config(base.config.config),
        scope=scope,
        base=OnImage(services=state.services, files=base.files),
        created=state.created,
        history=complete_history(base.config),
        layers=base.layers(),
        chain=begun(base.config.diff_ids),
        inherited=len(complete_history(base.config)),
    )
