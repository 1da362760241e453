"""A plan as text: what a build would do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from builder.dockerfile.expand import expanded
from builder.dockerfile.stages import StageBase
from builder.dockerfile.syntax import Arg, Env, Instruction
from builder.engine.arguments import declare
from builder.engine.bases import BaseImage
from builder.engine.canonical import canonical
from builder.engine.plan import Plan, PlannedStage
from builder.engine.scope import Scope
from builder.engine.stage import initial_config
from builder.image.config import ContainerConfig


def outline(plan: Plan, build_args: Mapping[str, str]) -> str:
    """The stages in the order in which they are built: bases, needs, and instructions after expansion.

    Raises DockerfileError for what cannot be expanded.
    """
    scopes: dict[int, Scope] = {}
    lines: list[str] = []
    for stage in plan.stages:
        scopes[stage.index] = scope = _scope(plan, stage, build_args, scopes)
        lines += _head(plan, stage)
        lines += [f"  {each.location.line}: {_line(each, scope, plan)}" for each in stage.instructions]
    return "\n".join(lines) + "\n"


def _head(plan: Plan, stage: PlannedStage) -> Iterator[str]:
    name = f" {stage.name}" if stage.name else ""
    target = " (target)" if stage.index == plan.target else ""
    yield f"stage {stage.index}{name}{target}"
    yield f"  from {_base(stage)} for {stage.platform}"
    node = plan.graph.nodes[stage.index]
    if node.dependencies:
        yield f"  needs {', '.join(f'stage {index}' for index in sorted(node.dependencies))}"
    if node.images:
        yield f"  copies from {', '.join(sorted(node.images))}"


def _base(stage: PlannedStage) -> str:
    if stage.base is None:
        return "scratch"
    return f"stage {stage.base.index}" if isinstance(stage.base, StageBase) else stage.base.name


def _scope(plan: Plan, stage: PlannedStage, build_args: Mapping[str, str], scopes: Mapping[int, Scope]) -> Scope:
    """The variables that the stage begins with."""
    scope = Scope(build_args, plan.global_args)
    if isinstance(stage.base, StageBase):
        scope.inherit(scopes[stage.base.index])
        return scope
    config = stage.base.config.config if isinstance(stage.base, BaseImage) else ContainerConfig()
    for variable in initial_config(config).env:
        name, _, value = variable.partition("=")
        scope.set_env(name, value)
    return scope


def _line(instruction: Instruction, scope: Scope, plan: Plan) -> str:
    escape = plan.dockerfile.escape
    if isinstance(instruction, Arg):
        return declare(instruction, scope, escape)
    instruction, _ = expanded(instruction, scope.get, escape)
    if isinstance(instruction, Env):
        for name, value in instruction.pairs:
            scope.set_env(name, value)
    return canonical(instruction)
