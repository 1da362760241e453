"""Several platforms in one build: a plan for each, and what they have in common done once.

As with BuildKit, what depends on the platform is decided by what an instruction can see: a stage ``FROM
--platform=$BUILDPLATFORM`` is the same for all platforms until it declares an ARG that differs. Up to there it is built
once; from there on for each platform.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from builder.engine.bases import Bases
from builder.engine.likeness import trails_of
from builder.engine.parts import in_parts
from builder.engine.plan import Plan, make_plan, parsed_dockerfile
from builder.engine.platform_names import named
from builder.engine.request import BuildRequest
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
    return tuple(_shared(plans, [named(plan) for plan in in_parts(plans, request)], request))


def _shared(wholes: Sequence[Plan], plans: Sequence[Plan], request: BuildRequest) -> list[PlatformPlan]:
    """Mark what several plans have in common."""
    keys = [{index: trail[-1] for index, trail in trails_of(plan, request).items()} for plan in plans]
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
