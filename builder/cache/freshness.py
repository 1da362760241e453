"""How long an entry of a cache is used (``--cache-ttl``), whatever clocks say."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Freshness:
    """What is no older than `ttl` is fresh.

    What comes from the future was made under another clock: a little is taken as new, since machines differ, but not
    more than `ttl`, for it would never grow old.

    Attributes:
        ttl: seconds.
        now: gives the time, in seconds since the epoch.
    """

    ttl: float
    now: Callable[[], float] = time.time

    def is_fresh(self, created: float) -> bool:
        """Whether something made at `created`, in seconds since the epoch, is still used."""
        return abs(self.now() - created) <= self.ttl

    def is_from_the_future(self, created: float) -> bool:
        """Whether `created` is so far ahead that one of the clocks must be wrong (more than five minutes)."""
        return created - self.now() > 300
