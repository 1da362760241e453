"""What tells a stage from the same stage of another platform's plan."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

from builder.dockerfile.stages import StageBase, used_sources
from builder.dockerfile.syntax import Arg, Instruction
from builder.engine.bases import BaseImage
from builder.engine.plan import Plan
from builder.engine.prefetch import exported_line
from builder.engine.request import BuildRequest


def trails_of(plan: Plan, request: BuildRequest) -> dict[int, list[str]]:
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
