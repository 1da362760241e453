"""Several platforms in one build: a plan for each, and what they have in common done once.

As with BuildKit, what depends on the platform is decided by what an instruction can see: a stage ``FROM
--platform=$BUILDPLATFORM`` is the same for all platforms until it declares an ARG that differs. Up to there it is built
once; from there on for each platform.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from builder.dockerfile.stages import StageBase, used_sources
from builder.dockerfile.syntax import Arg, Instruction, Run
from builder.engine.bases import BaseImage, Bases
from builder.engine.plan import Plan, PlannedStage, make_plan, parsed_dockerfile
from builder.engine.prefetch import exported_line
from builder.engine.request import BuildRequest
from builder.engine.steps import is_counted
from builder.image.platform import Platform

_AT_ONCE = 8


@dataclass(frozen=True, slots=True)
class PlatformPlan:
    """A plan for one platform of several.

    Attributes:
        plan: what is done; stages whose beginning is the same for several platforms are in two parts.
        keys: by stage index what tells its result from others: stages of equal keys are one.
        whole: the plan as it would be for this platform alone.
    """

    plan: Plan
    keys: Mapping[int, str]
    whole: Plan


def make_plans(request: BuildRequest, bases: Bases) -> tuple[PlatformPlan, ...]:
    """A plan for each platform of the request, in its order. Raises what `make_plan` raises."""
    if len(request.platforms) < 2:
        plan = make_plan(request, bases)
        return (PlatformPlan(plan, {stage.index: str(stage.index) for stage in plan.stages}, plan),)
    dockerfile = parsed_dockerfile(request, bases)

    def planned(platform: Platform) -> Plan:
        return make_plan(replace(request, platform=platform), bases, dockerfile)

    with ThreadPoolExecutor(min(len(request.platforms), _AT_ONCE), thread_name_prefix="plan") as threads:
        plans = list(threads.map(planned, request.platforms))
    return tuple(_shared(plans, [_named(plan) for plan in _cut(plans, request)], request))


def platform_of(plan: Plan, stage: PlannedStage) -> Platform:
    """What a stage is built for: a stage on another one has the platform of that."""
    while isinstance(stage.base, StageBase):
        index = stage.base.index
        stage = next(each for each in plan.stages if each.index == index)
    return stage.platform


def _trails(plan: Plan, request: BuildRequest) -> dict[int, list[str]]:
    """By stage: what tells it from the same stage of another platform, before its first instruction and after each.

    The text of the Dockerfile is the same for all; so it is the base and its platform, the values of ARGs that come
    from outside, and the stages that are copied from. The layers of the exported stages are written, and so those of
    others are not the same.
    """
    exported = exported_line(plan)
    trails: dict[int, list[str]] = {}
    for stage in plan.stages:
        if isinstance(stage.base, StageBase):
            base = trails[stage.base.index][-1]
        else:
            base = f"{stage.platform} {stage.base.name if isinstance(stage.base, BaseImage) else ''}"
        trail = [_digest((stage.index, base, stage.index in exported))]
        for instruction in stage.instructions:
            seen = _seen(instruction, plan, request, trails)
            trail.append(_digest((trail[-1], *seen)) if seen else trail[-1])
        trails[stage.index] = trail
    return trails


def _seen(
    instruction: Instruction, plan: Plan, request: BuildRequest, trails: Mapping[int, Sequence[str]]
) -> list[str | None]:
    if isinstance(instruction, Arg):
        outside = [name for name, default in instruction.pairs if default is None and name not in request.build_args]
        return [each for name in outside for each in (name, plan.global_args.get(name))]
    sources = [plan.graph.source(name) for _, name in used_sources([instruction])]
    return [trails[source.index][-1] for source in sources if isinstance(source, StageBase)]


def _digest(value: object) -> str:
    return hashlib.sha256(repr(value).encode("utf-8", "surrogateescape")).hexdigest()


def _cut(plans: Sequence[Plan], request: BuildRequest) -> list[Plan]:
    """Cut stages in two whose first steps are the same for several platforms."""
    if request.single_snapshot:
        return list(plans)
    trails = [_trails(plan, request) for plan in plans]
    cuts: list[dict[int, int]] = [{} for _ in plans]
    for index in {stage.index for plan in plans for stage in plan.stages}:
        alike: dict[str, list[int]] = defaultdict(list)
        for number, found in enumerate(trails):
            if index in found:
                alike[found[index][0]].append(number)
        for numbers in alike.values():
            common = _common([trails[number][index] for number in numbers])
            stage = _stage(plans[numbers[0]], index)
            if common < len(stage.instructions) and any(map(is_counted, stage.instructions[:common])):
                for number in numbers:
                    cuts[number][index] = common
    return [_in_parts(plan, cut) if cut else plan for plan, cut in zip(plans, cuts, strict=True)]


def _common(trails: Sequence[Sequence[str]]) -> int:
    """How many instructions the stages have in common; all of them if there is only one."""
    return next(
        (number - 1 for number, states in enumerate(zip(*trails, strict=True)) if len(set(states)) > 1),
        len(trails[0]) - 1,
    )


def _stage(plan: Plan, index: int) -> PlannedStage:
    return next(stage for stage in plan.stages if stage.index == index)


def _in_parts(plan: Plan, cuts: Mapping[int, int]) -> Plan:
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


def _named(plan: Plan) -> Plan:
    """The plan with the platform in the names of its stages, as BuildKit writes it: ``linux/amd64->arm64 build``."""
    return replace(plan, stages=tuple(replace(stage, name=_name(plan, stage)) for stage in plan.stages))


def _name(plan: Plan, stage: PlannedStage) -> str:
    platform, target = platform_of(plan, stage), _target(plan, stage)
    name = f"{platform}"
    if target is not None and target != platform:
        name += f"->{_difference(platform, target)}"
    return " ".join(part for part in (name, stage.name) if part)


def _target(plan: Plan, stage: PlannedStage) -> Platform | None:
    """What a stage makes files for, as far as its ARGs tell it; None if they do not."""
    known = _arguments(plan, stage)
    if not known & {"TARGETPLATFORM", "TARGETARCH", "TARGETVARIANT"}:
        return None
    variant = plan.platform.variant if known & {"TARGETPLATFORM", "TARGETVARIANT"} else ""
    return Platform(plan.platform.os, plan.platform.architecture, variant)


def _arguments(plan: Plan, stage: PlannedStage) -> set[str]:
    """The ARGs of a stage, and of those that it is FROM, which get their values from outside."""
    arguments = [each for each in stage.instructions if isinstance(each, Arg)]
    found = {name for each in arguments for name, default in each.pairs if default is None}
    return found | _arguments(plan, _stage(plan, stage.base.index)) if isinstance(stage.base, StageBase) else found


def _difference(platform: Platform, target: Platform) -> str:
    if platform.os != target.os:
        return str(target)
    return "/".join(part for part in (target.architecture, target.variant) if part)


def _shared(wholes: Sequence[Plan], plans: Sequence[Plan], request: BuildRequest) -> list[PlatformPlan]:
    """Mark what several plans have in common."""
    keys = [{index: trail[-1] for index, trail in _trails(plan, request).items()} for plan in plans]
    users: dict[str, int] = defaultdict(int)
    for found in keys:
        for key in found.values():
            users[key] += 1
    known: set[str] = set()
    marked = []
    for whole, plan, found in zip(wholes, plans, keys, strict=True):
        shared = frozenset(index for index, key in found.items() if users[key] > 1)
        borrowed = frozenset(index for index, key in found.items() if key in known)
        known.update(found.values())
        marked.append(PlatformPlan(replace(plan, shared=shared, borrowed=borrowed), found, whole))
    return marked
