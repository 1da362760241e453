"""The last build of each step of each Dockerfile on this machine: to say why a step is built again."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from builder.cache import inputs
from builder.cache.base import CacheKey
from builder.cache.keys import Component, framed
from builder.cache.record import inputs_path
from builder.errors import BuilderError
from builder.storage.atomic import write_atomically

_KEY = re.compile("[0-9a-f]{64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class StepPlace:
    """Which step of which Dockerfile.

    Attributes:
        dockerfile: what tells it from others on this machine, with what else it is built for.
        stage: its name or index.
        position: among the steps of its stage, from 0.
        first: beneath it is only what the stage is FROM.
    """

    dockerfile: str
    stage: str
    position: int
    first: bool


class StepHistory:
    """Below ``steps`` of the local cache's `directory`: for each step the key that it had last. Thread-safe.

    It is there for people alone: whatever cannot be read or written is as if it had never been there.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def reason(self, step: StepPlace, components: Sequence[Component]) -> str:
        """Why a step with these components is built, although it may have been built before."""
        key = self._last(step)
        before = None
        if key is not None:
            with contextlib.suppress(OSError):
                before = inputs.from_json(inputs_path(self._directory, key).read_bytes())
        return "not built before" if before is None else inputs.reason(before, components, first=step.first)

    def note(self, step: StepPlace, key: CacheKey) -> None:
        """Keep the key that a step has now."""
        if self._last(step) == key:
            return
        path = self._path(step)
        with contextlib.suppress(BuilderError, OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(path, key.hex.encode())

    def _last(self, step: StepPlace) -> CacheKey | None:
        try:
            text = self._path(step).read_text("ascii")
        except (OSError, ValueError):
            return None
        return CacheKey(text) if _KEY.fullmatch(text) else None

    def _path(self, step: StepPlace) -> Path:
        name = framed([step.dockerfile, step.stage, step.position])
        return self._directory / "steps" / name[:2] / name
