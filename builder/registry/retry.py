"""Trying again what failed for a passing reason: timeouts, broken connections, 408, 429 and 5xx."""

from __future__ import annotations

import random
from collections.abc import Callable

from builder.progress import Progress, log
from builder.registry.errors import ConnectionFailed
from builder.registry.exchange import Request, Response, Transport
from builder.registry.policy import Backoff
from builder.registry.retry_after import retry_after

# 520 to 524 and 530 are Cloudflare's, for trouble between itself and the registry
_PASSING = (408, 429, 500, 502, 503, 504, 520, 521, 522, 523, 524, 530)


class Pauses:
    """The pauses between tries.

    Args:
        sleep: waits that many seconds, or raises because the build stops.
    """

    def __init__(self, backoff: Backoff, sleep: Callable[[float], None]) -> None:
        self._backoff, self._sleep = backoff, sleep

    def wait(self, failures: int, asked: float | None = None) -> None:
        """Pause after the `failures`-th failure (from 1), for at least as long as the server `asked` for."""
        longest = min(self._backoff.longest, self._backoff.base * 2 ** (failures - 1))
        self._sleep(max(asked or 0.0, random.uniform(longest / 2, longest)))

    def check(self) -> None:
        """Raise what ends a pause if the build stops; else nothing happens."""
        self._sleep(0.0)

    def allows(self, asked: float | None) -> bool:
        """True if the server asks for no longer pause than anybody would wait for."""
        return asked is None or asked <= self._backoff.longest


class Retrying:
    """A Transport that sends a request again if that may help; the last answer is returned as it is."""

    def __init__(self, inner: Transport, attempts: int, pauses: Pauses, progress: Progress) -> None:
        self._inner, self._attempts, self._pauses, self._progress = inner, attempts, pauses, progress

    def send(self, request: Request, /) -> Response:
        attempts = self._attempts if request.retry else 1
        for failures in range(1, attempts):
            try:
                response = self._inner.send(request)
            except ConnectionFailed as error:
                if not error.transient:
                    raise
                self._pauses.check()
                why, asked = error.message, None
            else:
                asked = retry_after(response)
                if not is_passing(response.status) or not self._pauses.allows(asked):
                    return response
                why = f"{request.host} answered {response.status} ({request})"
                response.close()
            log(self._progress, "warning", f"{why}; trying again")
            self._pauses.wait(failures, asked)
        return self._inner.send(request)


def is_passing(status: int) -> bool:
    """True for a status that may be another one the next time."""
    return status in _PASSING
