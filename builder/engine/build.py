"""One build, from the Dockerfile to the outputs."""

from __future__ import annotations

import threading
import time
from concurrent.futures import Future
from contextlib import ExitStack
from dataclasses import dataclass

from builder.digest import Digest
from builder.dockerfile.ignore import IgnoreRules
from builder.engine import checks
from builder.engine.assemble import assembled
from builder.engine.bases import Bases
from builder.engine.build_state import BuildState
from builder.engine.executor import build_stages
from builder.engine.export import export
from builder.engine.layers import Layer, Packer
from builder.engine.mounts.caches import CacheMounts
from builder.engine.named_contexts import NamedContexts
from builder.engine.outline import outline
from builder.engine.plan import Plan, make_plan
from builder.engine.request import BuildRequest
from builder.engine.services import Services
from builder.engine.steps import Steps
from builder.registry.push import Pusher, first_repositories
from builder.rootfs.disk_tree import DiskTree


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildResult:
    """What came of a build.

    Attributes:
        digest: of the image's manifest; None if none was built (a dry run, a check).
    """

    digest: Digest | None


def build(request: BuildRequest, services: Services) -> BuildResult:
    """Build an image and write its outputs.

    Nothing is tagged, and no file written, unless the build has succeeded. Raises BuilderError.
    """
    with ExitStack() as stack:
        pusher = None
        if request.outputs.push and request.outputs.destinations and not (request.dry_run or request.check):
            pusher = stack.enter_context(Pusher(services.registries, services.progress))
        contexts = NamedContexts(request.contexts, stack, services.scratch, request.environment, services.progress)
        bases = Bases(services, contexts)
        plan = _planned(request, bases, pusher)
        ignore = IgnoreRules.parse(request.ignore) if request.ignore else None
        found = checks.findings(plan, ignore)
        checks.report(found, plan.dockerfile, services.progress)
        if request.check:
            checks.conclude(found, services.progress)
            return BuildResult(digest=None)
        if request.dry_run:
            print(outline(plan, request.build_args), end="")
            return BuildResult(digest=None)
        state = _state(request, services, plan, bases, ignore, pusher)
        try:
            stage = build_stages(state)
            if request.materialize and services.container is not None:
                stage.rootfs.prepare()
            image = assembled(stage, request)
            export(image, request.outputs, pusher)
        finally:
            state.stopped.set()
        return BuildResult(digest=image.digest)


def _planned(request: BuildRequest, bases: Bases, pusher: Pusher | None) -> Plan:
    """The plan, made while the registry is asked whether the result may be pushed at all."""
    if pusher is None or not request.outputs.check_permission:
        return make_plan(request, bases)
    asking = _Asking(pusher, request)
    plan = make_plan(request, bases)
    asking.join()
    return plan


class _Asking:
    """Asks for the permission to push, in a thread of its own."""

    def __init__(self, pusher: Pusher, request: BuildRequest) -> None:
        self._pusher = pusher
        self._repositories = list({each.name: each for each in request.outputs.destinations}.values())
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="push-permission", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            for repository in self._repositories:
                self._pusher.check_permission(repository)
        except BaseException as error:
            self._error = error

    def join(self) -> None:
        """Raises RegistryError if the answer is no."""
        self._thread.join()
        if self._error is not None:
            raise self._error


def _state(
    request: BuildRequest,
    services: Services,
    plan: Plan,
    bases: Bases,
    ignore: IgnoreRules | None,
    pusher: Pusher | None,
) -> BuildState:
    stopped = threading.Event()
    repositories = first_repositories(request.outputs.destinations) if pusher is not None else []

    def finished(layer: Layer) -> None:
        for repository in repositories:
            assert pusher is not None
            pusher.start(layer.blob, repository)

    return BuildState(
        request=request,
        services=services,
        plan=plan,
        bases=bases,
        packer=Packer(services, request.format, stopped),
        stopped=stopped,
        steps=Steps(services.progress),
        created=_created(request),
        context=DiskTree(str(request.context), ignore),
        caches=CacheMounts(services.cache_mounts, services.ownership, services.layers.flavour),
        finished=finished,
        results={stage.index: Future() for stage in plan.stages},
        working=threading.Semaphore(services.parallel),
    )


def _created(request: BuildRequest) -> int:
    if request.format.epoch is not None:
        return request.format.epoch
    return 0 if request.format.reproducible else int(time.time())
