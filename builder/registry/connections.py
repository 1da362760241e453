"""The transport of each registry, put together from its layers when it is first needed."""

from __future__ import annotations

import threading

from builder.progress import Progress
from builder.registry.endpoint import Endpoint
from builder.registry.errors import Cancelled
from builder.registry.keychain import Keychain
from builder.registry.network import Network
from builder.registry.policy import Direction, RegistryPolicy
from builder.registry.redaction import Redaction
from builder.registry.retry import Pauses, Retrying

_TOKEN_ATTEMPTS = 3
_TOKEN_PATIENCE = 30.0


class Connections:
    """The endpoints of all registries. Thread-safe; costs nothing before the first request."""

    def __init__(self, policy: RegistryPolicy, keychain: Keychain, progress: Progress, network: Network) -> None:
        self._policy, self._keychain, self._progress = policy, keychain, progress
        self.network = network
        self._redaction = Redaction()
        self._endpoints: dict[tuple[str, Direction], Endpoint] = {}
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._interrupted = False
        self._pauses = Pauses(policy.backoff, self._sleep)

    def endpoint(self, host: str, direction: Direction) -> Endpoint:
        """The endpoint of a registry (``host[:port]``)."""
        with self._lock:
            if (host, direction) not in self._endpoints:
                self._endpoints[host, direction] = self._make(host, direction)
            return self._endpoints[host, direction]

    def stop(self) -> None:
        """End every pause between tries and every transfer at once; what waits there gives up."""
        self._stopping.set()
        self.network.sockets.close()

    def interrupt(self) -> None:
        """Begin to stop, for a signal handler, which must not wait for a lock; `stop` has to follow."""
        self._interrupted = True
        self.network.sockets.close()

    def abandon(self) -> None:
        """Break off every transfer that is under way. Those that may be tried again are."""
        self.network.sockets.interrupt()

    def _sleep(self, seconds: float) -> None:
        if self._interrupted or self._stopping.wait(seconds):
            raise Cancelled

    def _make(self, host: str, direction: Direction) -> Endpoint:
        # imported here: the HTTP library takes longer to import than many a command to run
        from builder.registry.authorization import Authorizing
        from builder.registry.redirects import FollowingRedirects
        from builder.registry.tokens import Tokens

        def allows_http(other: str) -> bool:
            return "http" in self._policy.schemes(other, direction)

        attempts = self._policy.attempts(direction)
        bare = FollowingRedirects(self.network.transport(direction), allows_http)
        retrying = Retrying(bare, min(attempts, _TOKEN_ATTEMPTS), self._pauses, self._progress)
        tokens = Tokens(
            retrying,
            allows_http,
            lambda other: self._policy.is_insecure(other, direction),
            self._redaction,
            lambda access: self._keychain.describe(access.repository),
            patience=min(_TOKEN_PATIENCE, self._policy.read_timeout),
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
