"""Stages in two parts: what is the same for several platforms, and what is not."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from builder.dockerfile.stages import StageBase
from builder.dockerfile.syntax import Instruction, Run
from builder.engine.bases import BaseImage
from builder.engine.likeness import trails_of
from builder.engine.plan import Plan, PlannedStage
from builder.engine.request import BuildRequest
from builder.engine.steps import is_counted


def in_parts(plans: Sequence[Plan], request: BuildRequest) -> list[Plan]:
    """Cut stages in two whose first steps are the same for several platforms."""
    if request.single_snapshot:
        return list(plans)
    trails = [trails_of(plan, request) for plan in plans]
    cuts: list[dict[int, int]] = [{} for _ in plans]
    for index in {stage.index for plan in plans for stage in plan.stages}:
        alike: dict[str, list[int]] = defaultdict(list)
        for number, found in enumerate(trails):
            if index in found:
                alike[found[index][0]].append(number)
        for numbers in alike.values():
            common = _common([trails[number][index] for number in numbers])
            stage = plans[numbers[0]].stage(index)
            if common < len(stage.instructions) and any(map(is_counted, stage.instructions[:common])):
                for number in numbers:
                    cuts[number][index] = common
    return [_cut_at(plan, cut) if cut else plan for plan, cut in zip(plans, cuts, strict=True)]


def _common(trails: Sequence[Sequence[str]]) -> int:
    """How many instructions the stages have in common; all of them if there is only one."""
    return next(
        (number - 1 for number, states in enumerate(zip(*trails, strict=True)) if len(set(states)) > 1),
        len(trails[0]) - 1,
    )


def _cut_at(plan: Plan, cuts: Mapping[int, int]) -> Plan:
    graph = plan.graph.with_parts(cuts)
    stages: list[PlannedStage] = []
    for stage in plan.stages:
        stages += _parts(stage, cuts[stage.index], len(plan.graph.nodes)) if stage.index in cuts else [stage]
    return replace(plan, graph=graph, stages=tuple(stages))


def _parts(stage: PlannedStage, cut: int, count: int) -> list[PlannedStage]:
    first, rest = stage.instructions[:cut], stage.instructions[cut:]
    before, after = _steps(first) + isinstance(stage.base, BaseImage), _steps(rest)
    index = count + stage.index
    return [
        replace(stage, index=index, instructions=first, runs=_has_run(first), after=after),
        replace(
            stage,
            base=StageBase(index),
            instructions=rest,
            runs=_has_run(rest),
            before=before,
            continues=True,
        ),
    ]


def _steps(instructions: Iterable[Instruction]) -> int:
    return sum(map(is_counted, instructions))


def _has_run(instructions: Iterable[Instruction]) -> bool:
    return any(isinstance(each, Run) for each in instructions)
