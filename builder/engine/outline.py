"""A plan as text: what a build would do."""

from __future__ import annotations

from collections.abc import Iterator

from builder.dockerfile.stages import StageBase
from builder.engine.bases import BaseImage
from builder.engine.plan import Plan, PlannedStage


def outline(plan: Plan) -> str:
    """The stages in the order in which they are built, with their bases, needs and instructions."""
    return "\n".join(line for stage in plan.stages for line in _stage(plan, stage)) + "\n"


def _stage(plan: Plan, stage: PlannedStage) -> Iterator[str]:
    name = f" {stage.name}" if stage.name else ""
    target = " (target)" if stage.index == plan.target else ""
    yield f"stage {stage.index}{name}{target}"
    yield f"  from {_base(stage)} for {stage.platform}"
    needs = plan.graph.nodes[stage.index].dependencies
    if needs:
        yield f"  needs {', '.join(f'stage {index}' for index in sorted(needs))}"
    images = plan.graph.nodes[stage.index].images
    if images:
        yield f"  copies from {', '.join(sorted(images))}"
    for instruction in stage.instructions:
        yield f"  {instruction.location.line}: {instruction.text}"


def _base(stage: PlannedStage) -> str:
    if stage.base is None:
        return "scratch"
    if isinstance(stage.base, StageBase):
        return f"stage {stage.base.index}"
    assert isinstance(stage.base, BaseImage)
    return stage.base.name
