"""What a build works with, made by the command line or by a test, and closed by whoever made it."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from builder.errors import IsolationError
from builder.isolation.base import Isolation
from builder.progress import Progress
from builder.registry.client import Registries
from builder.rootfs.directory import Ownership
from builder.rootfs.unpacked import LayerStore
from builder.storage.blobs import BlobStore
from builder.storage.failure import explained


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """The parts that a build is made with.

    Attributes:
        scratch: a directory of this build alone; gone after it.
        cache_mounts: where ``RUN --mount=type=cache`` keeps its directories.
        isolation: where RUN runs; None if it cannot run here, and `refusal` says why.
        ownership: what files made here may be given.
        overlay: whether to mount overlays; else commands run in plain directories, and changes are found by walking.
        workers: threads for layers that are read or written in the background.
        parallel: how many instructions may be at work at once.
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
    parallel: int = 2


@contextmanager
def scratch_directory(state_dir: Path) -> Iterator[Path]:
    """A new directory for one build, removed at the end. Raises StorageError."""
    scratch = state_dir / "builds" / f"{os.getpid()}-{secrets.token_hex(4)}"
    with explained("write", scratch):
        scratch.mkdir(parents=True, mode=0o700)
    try:
        yield scratch
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
