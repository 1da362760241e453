"""From plans to builds on their way: what they share, and what each has of its own."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future

from builder.dockerfile.ignore import IgnoreRules
from builder.engine.bases import Bases
from builder.engine.build_state import BuildState
from builder.engine.caching.shared import shared_caching
from builder.engine.layers import Layer, Packer
from builder.engine.mounts.caches import CacheMounts
from builder.engine.platforms import PlatformPlan
from builder.engine.request import BuildRequest
from builder.engine.services import Services
from builder.engine.shared_layers import SharedPacker
from builder.engine.stage import Stage
from builder.engine.steps import Steps
from builder.registry.push import Pusher, first_repositories
from builder.rootfs.disk_tree import DiskTree


def begun(
    request: BuildRequest,
    services: Services,
    plans: Sequence[PlatformPlan],
    bases: Bases,
    ignore: IgnoreRules | None,
    pusher: Pusher | None,
) -> list[BuildState]:
    """A build for each plan; stages with equal keys have one result, and everything else that can be is shared."""
    stopped = threading.Event()
    repositories = first_repositories(request.outputs.destinations) if pusher is not None else []

    def finished(layer: Layer) -> None:
        for repository in repositories:
            assert pusher is not None
            pusher.start(layer.blob, repository)

    results: dict[str, Future[Stage]] = {key: Future() for plan in plans for key in plan.keys.values()}
    given_up = threading.Event()
    packer = Packer(services, request.format, given_up)
    shared = SharedPacker(packer, request.context) if len(plans) > 1 else packer
    steps = Steps(services.progress)
    context, context_lock = DiskTree(str(request.context), ignore), threading.Lock()
    caches = CacheMounts(services.cache_mounts, services.ownership, services.layers.flavour)
    working = threading.Semaphore(services.parallel)
    created = _created(request)
    caching = shared_caching(request, services.caches)
    return [
        BuildState(
            request=request,
            services=services,
            plan=each.plan,
            bases=bases,
            packer=shared,
            stopped=stopped,
            given_up=given_up,
            steps=steps,
            created=created,
            context=context,
            context_lock=context_lock,
            caches=caches,
            caching=caching,
            finished=finished,
            results={index: results[key] for index, key in each.keys.items()},
            working=working,
        )
        for each in plans
    ]


def _created(request: BuildRequest) -> int:
    if request.format.epoch is not None:
        return request.format.epoch
    return 0 if request.format.reproducible else int(time.time())
