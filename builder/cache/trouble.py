"""What is wrong with a cache: told once, and then the cache is left alone."""

from __future__ import annotations

import threading

from builder.progress import Progress, log

_MOST_DAMAGED = 3


class Trouble:
    """The state of one cache in one direction. Thread-safe.

    Args:
        what: completes the warnings, e.g. ``layers are not cached``.
    """

    def __init__(self, progress: Progress, what: str) -> None:
        self._progress, self._what = progress, what
        self._lock = threading.Lock()
        self._over = False
        self._damaged = 0

    @property
    def over(self) -> bool:
        """Whether the cache is to be asked no more."""
        return self._over

    def ends(self, problem: str) -> None:
        """The cache cannot be used. Only the first problem is told."""
        with self._lock:
            if self._over:
                return
            self._over = True
        log(self._progress, "warning", f"{self._what}: {problem}")

    def damaged(self, problem: str) -> None:
        """An entry is of no use. After some of them nothing is expected of the others."""
        with self._lock:
            self._damaged += 1
            if self._over:
                return
            self._over = self._damaged >= _MOST_DAMAGED
        more = f"; {self._what} from now on" if self._over else ""
        log(self._progress, "warning", f"a cached layer is not used: {problem}{more}")
