"""How this process reaches other hosts: one policy of certificates and proxies for images, tokens, URLs and git."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from builder.progress import Progress
from builder.registry.policy import Direction, RegistryPolicy
from builder.registry.proxies import Proxies
from builder.registry.sockets import Sockets

if TYPE_CHECKING:
    from builder.registry.exchange import Transport
    from builder.registry.tls import TlsContexts

_LOCAL_CONNECT_TIMEOUT = 1.0
_DOWNLOAD_CONNECT_TIMEOUT = 15.0


class Network:
    """Transports that share certificates and proxies. Thread-safe; nothing is read or imported before it is needed.

    Attributes:
        policy: what the flags say about hosts.
        environment: names proxies and certificate files.
        proxies: which of them a URL goes through.
        sockets: all that are open.
    """

    def __init__(self, policy: RegistryPolicy, environment: Mapping[str, str], progress: Progress) -> None:
        self.policy, self.environment = policy, environment
        self.proxies = Proxies(environment)
        self.sockets = Sockets()
        self._progress = progress
        self._lock = threading.Lock()
        self._tls: TlsContexts | None = None
        self._downloads: Transport | None = None

    @property
    def tls(self) -> TlsContexts:
        """What certificates are checked against."""
        from builder.registry.tls import TlsContexts

        with self._lock:
            if self._tls is None:
                self._tls = TlsContexts(self.policy, self.environment)
            return self._tls

    def transport(self, direction: Direction) -> Transport:
        """A new transport for single exchanges: no redirects, no credentials, no retries."""
        from builder.registry.http_transport import HttpTransport

        return HttpTransport(self.policy, direction, self.tls, self.proxies, self._progress, self.sockets)

    def downloads(self) -> Transport:
        """The transport for what is no image; it follows redirects, also from HTTPS to HTTP as other clients do."""
        from builder.registry.http_transport import HttpTransport
        from builder.registry.redirects import FollowingRedirects

        policy = replace(self.policy, connect_timeout=_DOWNLOAD_CONNECT_TIMEOUT)
        exchange = HttpTransport(policy, "download", self.tls, self.proxies, self._progress, self.sockets)
        with self._lock:
            self._downloads = self._downloads or FollowingRedirects(exchange, lambda host: True)
            return self._downloads

    def metadata(self) -> Transport:
        """A transport for metadata services: they are on the machine's own link, so without proxy and patience."""
        from builder.registry.http_transport import HttpTransport

        policy = replace(self.policy, connect_timeout=_LOCAL_CONNECT_TIMEOUT)
        return HttpTransport(policy, "download", self.tls, Proxies({}), self._progress, self.sockets)
