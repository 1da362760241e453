"""What a build works with, made by the command line or by a test, and closed by whoever made it."""

from __future__ import annotations

import os
import secrets
import shutil
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from builder.cache.base import LayerCache
from builder.cache.inventory import STARTED
from builder.errors import IsolationError, StorageError
from builder.isolation.base import Isolation
from builder.isolation.command import Bind
from builder.linux.inode_flags import spread_directories
from builder.progress import Progress
from builder.registry.client import Registries
from builder.registry.pull import Images
from builder.rootfs.directory import Ownership
from builder.rootfs.unpacked import LayerStore
from builder.storage.blobs import BlobStore
from builder.storage.failure import explained
from builder.storage.locks import shared, try_exclusive

if TYPE_CHECKING:
    from builder.rootfs.in_place.container import Container

_SECONDS_TO_END = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """The parts that a build is made with.

    Attributes:
        scratch: a directory of this build alone; gone after it.
        cache_mounts: where ``RUN --mount=type=cache`` keeps its directories.
        isolation: where RUN runs; None if it cannot run here, and `refusal` says why.
        ownership: what files made here may be given.
        overlay: whether to mount overlays; else commands run in plain directories, and changes are found by walking.
        container: the container that the builder is in, if commands run in place; stages then take turns.
        advice: what to tell after a command that failed, if its surroundings are less than it may expect.
        workers: threads for layers that are written in the background.
        readers: threads for layers that are read from a registry, which it names; "" for those that are at hand.
        parallel: how many instructions may be at work at once.
        images: where base images come from, if that is not just `registries`.
        caches: of layers, in the order in which they are asked.
        emulators: by architecture (Go's name), what must be visible where programs for it are run.
    """

    registries: Registries
    progress: Progress
    blobs: BlobStore
    layers: LayerStore
    scratch: Path
    cache_mounts: Path
    isolation: Isolation | None
    refusal: IsolationError | None
    ownership: Ownership
    overlay: bool
    workers: Executor
    readers: Callable[[str], Executor]
    container: Container | None = None
    advice: str | None = None
    parallel: int = 2
    images: Images | None = None
    caches: tuple[LayerCache, ...] = ()
    emulators: Mapping[str, Bind] = field(default_factory=dict)


@contextmanager
def scratch_directory(state_dir: Path) -> Iterator[Path]:
    """A new directory for one build, removed at the end; what killed builds have left goes with it.

    It is locked as long as the build lives, so that nobody takes it for left behind. Raises StorageError.
    """
    builds = state_dir / "builds"
    scratch = builds / f"{os.getpid()}-{secrets.token_hex(4)}"
    with ExitStack() as stack:
        with explained("write", builds):
            builds.mkdir(parents=True, exist_ok=True)
        spread_directories(builds)
        # Nobody sweeps while a directory is there that has no lock yet.
        with shared(builds), explained("write", scratch):
            scratch.mkdir(mode=0o700)
            stack.enter_context(shared(scratch))
            (scratch / STARTED).touch()
        try:
            yield scratch
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
            remove_abandoned(builds)


def remove_abandoned(builds: Path) -> None:
    """Remove the directories of builds that ended without doing so. What cannot be removed stays."""
    with suppress(StorageError), try_exclusive(builds) as undisturbed:
        for directory in builds.iterdir() if undisturbed else ():
            with suppress(StorageError), try_exclusive(directory) as alone:
                if alone:
                    shutil.rmtree(directory, ignore_errors=True)


@contextmanager
def worker_threads(count: int) -> Iterator[Callable[[str], Executor]]:
    """Threads for layers: `count` for each name that is asked for, so that a registry that hangs holds up no other.

    At the end they are waited for, though not long: one may hang on a network.
    """
    pools: dict[str, Executor] = {}
    lock = threading.Lock()

    def named(name: str) -> Executor:
        with lock:
            if name not in pools:
                pools[name] = ThreadPoolExecutor(count, thread_name_prefix="-".join(["layers", *filter(None, [name])]))
            return pools[name]

    try:
        yield named
    finally:
        ending = threading.Thread(target=_end, args=(list(pools.values()),), name="end-of-layers", daemon=True)
        ending.start()
        ending.join(_SECONDS_TO_END)


def _end(pools: list[Executor]) -> None:
    for pool in pools:
        pool.shutdown(wait=False, cancel_futures=True)
    for pool in pools:
        pool.shutdown(wait=True)
