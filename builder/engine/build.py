"""One build, from the Dockerfile to the outputs."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace

from builder.digest import Digest
from builder.dockerfile.ignore import IgnoreRules
from builder.engine import checks
from builder.engine.assemble import assembled, joined
from builder.engine.bases import Bases
from builder.engine.beginning import begun
from builder.engine.build_state import BuildState
from builder.engine.emulation import with_emulators
from builder.engine.executor import build_stages
from builder.engine.export import export
from builder.engine.named_contexts import NamedContexts
from builder.engine.outline import outline
from builder.engine.permission import AskedPermission
from builder.engine.platforms import PlatformPlan, make_plans
from builder.engine.request import BuildRequest
from builder.engine.services import Services
from builder.engine.stage import Stage
from builder.errors import Interrupted, UnusableLayer
from builder.image.reference import Reference
from builder.progress import log
from builder.registry.push import Pusher
from builder.storage.image import Image, ImageIndex


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildResult:
    """What came of a build.

    Attributes:
        digest: of the image's manifest, of the index if there are several platforms; None if nothing was built (a dry
            run, a check).
        kept: destinations that stay what they were, as `Registries.kept` has them.
    """

    digest: Digest | None
    kept: Mapping[Reference, Digest | None] = field(default_factory=dict)


def build(request: BuildRequest, services: Services) -> BuildResult:
    """Build an image, or one for each platform, and write the outputs.

    Nothing is tagged, and no file written, unless the build has succeeded. Where a cached layer turns out to be of no
    use, everything is built again, and the caches get what it gives. Raises BuilderError.
    """
    try:
        return _built(request, services)
    except UnusableLayer as error:
        log(services.progress, "warning", f"{error.message}; building again, without what is cached")
    if services.isolation is not None:
        services.isolation.resume()
    return _built(replace(request, no_cache=True), services)


def _built(request: BuildRequest, services: Services) -> BuildResult:
    started = time.time()
    with ExitStack() as stack:
        pusher = None
        if request.outputs.push and request.outputs.destinations and not (request.dry_run or request.check):
            pusher = stack.enter_context(Pusher(services.registries, services.progress))
        contexts = NamedContexts(
            request.contexts,
            stack,
            services.scratch,
            request.environment,
            services.progress,
            services.registries.network,
        )
        bases = Bases(services, contexts)
        plans = _planned(request, bases, pusher)
        ignore = IgnoreRules.parse(request.ignore) if request.ignore else None
        if not _goes_on(request, services, plans, ignore):
            return BuildResult(digest=None)
        services = with_emulators(plans, services)
        states = begun(request, services, plans, bases, ignore, pusher)
        try:
            stages = build_stages(states)
            if request.materialize and services.container is not None:
                stages[0].rootfs.prepare()
            result = _result(request, stages, plans, bases, started)
            export(result, request.outputs, pusher)
            return BuildResult(digest=result.digest, kept=services.registries.kept)
        finally:
            _finish(states[0])


def _finish(state: BuildState) -> None:
    """End what goes on in the background. Results are kept, unless whoever waits for the build has enough of it."""
    try:
        if not isinstance(sys.exception(), Interrupted):
            state.caching.finish()
    finally:
        state.stopped.set()
        state.given_up.set()
        state.caching.cancel()


def _planned(request: BuildRequest, bases: Bases, pusher: Pusher | None) -> Sequence[PlatformPlan]:
    """The plans, made while the registry is asked whether the result may be pushed at all."""
    if pusher is None or not request.outputs.check_permission:
        return make_plans(request, bases)
    asking = AskedPermission(pusher, request.outputs.destinations)
    plans = make_plans(request, bases)
    asking.join()
    return plans


def _result(
    request: BuildRequest, stages: Sequence[Stage], plans: Sequence[PlatformPlan], bases: Bases, started: float
) -> Image | ImageIndex:
    """The image; an index if there are several, or an attestation about it."""
    if len(stages) == 1 and request.provenance is None:
        return assembled(stages[0], request)

    def attested(image: Image, number: int) -> Image:
        from builder.engine.provenance import Record, attestation

        record = Record(request=request, plan=plans[number].whole, bases=bases, started=started, finished=time.time())
        return attestation(image, record)

    platforms = [each.plan.platform for each in plans]
    return joined(stages, request, platforms, attested if request.provenance is not None else None)


def _goes_on(
    request: BuildRequest, services: Services, plans: Sequence[PlatformPlan], ignore: IgnoreRules | None
) -> bool:
    """Check the Dockerfile; False if that, or the plan, was all that was asked for. Raises ChecksFailed."""
    wholes = [each.whole for each in plans]
    found = checks.findings(wholes, ignore)
    checks.report(found, wholes[0].dockerfile, services.progress)
    if request.check:
        checks.conclude(found, services.progress)
        return False
    if request.dry_run:
        for whole in wholes:
            if len(wholes) > 1:
                print(f"platform {whole.platform}")
            print(outline(whole, request.build_args), end="")
        return False
    return True
