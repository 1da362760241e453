"""Where ``--from`` leads: a stage, an image or a named context, as keys know it and as files."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from builder.engine.caching.chain import Chain
from builder.engine.caching.copied import Where
from builder.rootfs.tree import SourceTree


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """What is copied or mounted from.

    Attributes:
        chain: what its files follow from; None if only the files themselves tell.
        tree: gives the files, which may mean to read layers.
    """

    where: Where
    chain: Chain | None
    tree: Callable[[], SourceTree]
