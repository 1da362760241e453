"""What the stages of one build share."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field

from builder.dockerfile.stages import StageBase
from builder.engine.bases import Bases
from builder.engine.caching.chain import begun
from builder.engine.caching.copied import Where
from builder.engine.caching.origin import Origin
from builder.engine.caching.shared import SharedCaching
from builder.engine.layers import Layer, Packer
from builder.engine.mounts.caches import CacheMounts
from builder.engine.plan import Plan
from builder.engine.request import BuildRequest
from builder.engine.services import Services
from builder.engine.shared_layers import SharedPacker
from builder.engine.stage import Stage
from builder.engine.steps import Steps
from builder.image.platform import Platform
from builder.rootfs.disk_tree import DiskTree
from builder.rootfs.tree import FileTree, SourceTree


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildState:
    """One build on its way.

    Attributes:
        created: of all that is new, seconds since the epoch.
        results: the stages by index, once they are complete.
        working: held while an instruction is at work, so that no more are than there are processors.
        context_lock: held while `context` is used; it remembers what it has seen.
        stopped: set when the build has failed or was interrupted.
        caching: where results are looked up and kept.
        given_up: set when nobody wants the layers any more that are being written.
        finished: told of every layer of the exported image as soon as it is written.
    """

    request: BuildRequest
    services: Services
    plan: Plan
    bases: Bases
    packer: Packer | SharedPacker
    steps: Steps
    created: int
    context: DiskTree
    caches: CacheMounts
    caching: SharedCaching
    finished: Callable[[Layer], None]
    results: dict[int, Future[Stage]]
    working: threading.Semaphore
    stopped: threading.Event
    given_up: threading.Event = field(default_factory=threading.Event)
    context_lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def time(self) -> int | None:
        """SOURCE_DATE_EPOCH: the mtime of what COPY, ADD and WORKDIR make; None if it is not set."""
        return self.request.format.epoch

    def source(self, name: str, platform: Platform) -> SourceTree:
        """The tree that ``--from=name`` means; waits until the stage is complete. Raises what its build raised."""
        found = self.plan.graph.source(name)
        if isinstance(found, StageBase):
            return self.results[found.index].result().fork_tree()
        if found.name == "scratch":
            return FileTree()
        return self.bases.tree(found.name, platform)

    def origin(self, name: str, platform: Platform) -> Origin:
        """What ``--from=name`` means, without its files. Waits and raises as `source`."""
        found, where = self.plan.graph.source(name), Where(after=f" of {name}")
        if isinstance(found, StageBase):
            stage = self.results[found.index].result()
            return Origin(where=where, chain=stage.chain, tree=stage.fork_tree)
        if found.name == "scratch":
            return Origin(where=where, chain=begun(()), tree=FileTree)
        files = self.bases.contexts.tree(found.name)
        if files is not None:
            return Origin(where=where, chain=None, tree=lambda: files)
        image = self.bases.copied(found.name, platform)
        return Origin(where=where, chain=begun(image.config.diff_ids), tree=image.tree)
