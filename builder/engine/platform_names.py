"""Names of stages in a build for several platforms, as BuildKit writes them: ``linux/amd64->arm64 build``."""

from __future__ import annotations

from dataclasses import replace

from builder.dockerfile.stages import StageBase
from builder.dockerfile.syntax import Arg
from builder.engine.plan import Plan, PlannedStage
from builder.image.platform import Platform


def named(plan: Plan) -> Plan:
    """The plan with the platform in the names of its stages, as BuildKit writes it: ``linux/amd64->arm64 build``."""
    return replace(plan, stages=tuple(replace(stage, name=_name(plan, stage)) for stage in plan.stages))


def _name(plan: Plan, stage: PlannedStage) -> str:
    platform, target = _platform(plan, stage), _target(plan, stage)
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
    return found | _arguments(plan, plan.stage(stage.base.index)) if isinstance(stage.base, StageBase) else found


def _difference(platform: Platform, target: Platform) -> str:
    if platform.os != target.os:
        return str(target)
    return "/".join(part for part in (target.architecture, target.variant) if part)


def _platform(plan: Plan, stage: PlannedStage) -> Platform:
    """What a stage is built for: a stage on another one has the platform of that."""
    return _platform(plan, plan.stage(stage.base.index)) if isinstance(stage.base, StageBase) else stage.platform
