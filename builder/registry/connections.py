"""The transport of each registry, put together from its layers when it is first needed."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING

from builder.progress import Progress
from builder.registry.endpoint import Endpoint
from builder.registry.errors import Cancelled
from builder.registry.keychain import Keychain
from builder.registry.policy import Direction, RegistryPolicy
from builder.registry.redaction import Redaction
from builder.registry.retry import Pauses, Retrying

if TYPE_CHECKING:
    from builder.registry.tls import TlsContexts

_TOKEN_ATTEMPTS = 3


class Connections:
    """The endpoints of all registries. Thread-safe; costs nothing before the first request."""

    def __init__(
        self, policy: RegistryPolicy, keychain: Keychain, progress: Progress, environment: Mapping[str, str]
    ) -> None:
        self._policy, self._keychain, self._progress = policy, keychain, progress
        self._environment = environment
        self._redaction = Redaction()
        self._endpoints: dict[tuple[str, Direction], Endpoint] = {}
        self._tls: TlsContexts | None = None
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._pauses = Pauses(policy.backoff, self._sleep)

    def endpoint(self, host: str, direction: Direction) -> Endpoint:
        """The endpoint of a registry (``host[:port]``)."""
        with self._lock:
            if (host, direction) not in self._endpoints:
                self._endpoints[host, direction] = self._make(host, direction)
            return self._endpoints[host, direction]

    def stop(self) -> None:
        """End every pause between tries at once; what waits there gives up."""
        self._stopping.set()

    def _sleep(self, seconds: float) -> None:
        if self._stopping.wait(seconds):
            raise Cancelled

    def _make(self, host: str, direction: Direction) -> Endpoint:
        # imported here: the HTTP library takes longer to import than many a command to run
        from builder.registry.authorization import Authorizing
        from builder.registry.http_transport import HttpTransport
        from builder.registry.proxies import Proxies
        from builder.registry.redirects import FollowingRedirects
        from builder.registry.tls import TlsContexts
        from builder.registry.tokens import Tokens

        def allows_http(other: str) -> bool:
            return "http" in self._policy.schemes(other, direction)

        attempts = self._policy.attempts(direction)
        self._tls = self._tls or TlsContexts(self._policy, self._environment)
        exchange = HttpTransport(self._policy, direction, self._tls, Proxies(self._environment), self._progress)
        bare = FollowingRedirects(exchange, allows_http)
        retrying = Retrying(bare, min(attempts, _TOKEN_ATTEMPTS), self._pauses, self._progress)
        tokens = Tokens(
            retrying, allows_http, self._redaction, lambda access: self._keychain.describe(access.repository)
        )
        authorizing = Authorizing(bare, self._keychain, tokens, self._redaction)
        return Endpoint(
            host,
            direction,
            self._policy.schemes(host, direction),
            transport=Retrying(authorizing, attempts, self._pauses, self._progress),
            bare=bare,
            keychain=self._keychain,
            redaction=self._redaction,
            progress=self._progress,
            attempts=attempts,
            pauses=self._pauses,
        )
