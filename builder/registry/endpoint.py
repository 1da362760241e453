"""One registry as it is spoken to: its scheme, its requests below ``/v2/``, and its refusals."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from urllib.parse import urljoin, urlsplit, urlunsplit

from builder.image.reference import Reference
from builder.progress import Progress, log
from builder.registry.errors import ConnectionFailed, RegistryError
from builder.registry.exchange import Access, Body, Request, Response, Transport, host_of, same_origin
from builder.registry.explain import Attempt, explain
from builder.registry.keychain import Keychain
from builder.registry.policy import Direction, Scheme
from builder.registry.redaction import Redaction
from builder.registry.retry import Pauses

_PROBE_PATIENCE = 15.0


class Endpoint:
    """A registry, for pulling or for pushing. Thread-safe.

    Args:
        schemes: what it may be spoken to by; if there are several, the first that is answered is kept.
        transport: sends with credentials, redirects and retries.
        bare: sends with redirects alone, to find the scheme.

    Attributes:
        chunk: bytes that a request's body may have, as far as that is known; None for any number.
    """

    def __init__(
        self,
        host: str,
        direction: Direction,
        schemes: tuple[Scheme, ...],
        *,
        transport: Transport,
        bare: Transport,
        keychain: Keychain,
        redaction: Redaction,
        progress: Progress,
        attempts: int,
        pauses: Pauses,
    ) -> None:
        self.host, self.progress, self.attempts, self.pauses = host, progress, attempts, pauses
        self._direction, self._schemes = direction, schemes
        self._transport, self._bare = transport, bare
        self._keychain, self._redaction = keychain, redaction
        self._base: str | None = None
        self._no_mounts: set[tuple[str, str]] = set()
        self._lock = threading.Lock()
        self.chunk: int | None = None

    def send(
        self,
        method: str,
        path: str,
        repository: Reference,
        *,
        headers: Mapping[str, str] | None = None,
        body: Body | None = None,
        mount_from: Reference | None = None,
    ) -> Response:
        """Send a request to ``/v2/<repository>/<path>``, for which `mount_from` may be read too.

        Raises RegistryError.
        """
        return self._transport.send(
            Request(
                method=method,
                url=f"{self._base_url()}/v2/{repository.repository}/{path}",
                headers=headers or {},
                body=body,
                access=self._access(repository, mount_from),
            )
        )

    def ping(self, repository: Reference) -> Response:
        """Ask ``/v2/`` with the credentials of `repository`, for nothing but whether they are good.

        Raises RegistryError.
        """
        access = Access(repository=repository)
        return self._transport.send(Request(method="GET", url=f"{self._base_url()}/v2/", access=access))

    def send_to(
        self,
        method: str,
        url: str,
        repository: Reference,
        *,
        headers: Mapping[str, str] | None = None,
        body: Body | None = None,
        patience: float | None = None,
        retry: bool = False,
    ) -> Response:
        """Send a request, once unless `retry`, to a place that the registry named: what `location` gives.

        The registry's credentials are for itself alone; a place on another host gets none.
        """
        access = self._access(repository, None) if same_origin(url, self._base_url()) else None
        return self._transport.send(
            Request(
                method=method,
                url=url,
                headers=headers or {},
                body=body,
                access=access,
                retry=retry,
                patience=patience,
            )
        )

    def fetch(self, url: str, headers: Mapping[str, str]) -> Response:
        """GET what anybody may have, wherever it is, without credentials. Raises RegistryError."""
        return self._transport.send(Request(method="GET", url=url, headers=headers))

    def limit_chunks(self, size: int, refusal: RegistryError) -> None:
        """Remember that longer bodies than `size` bytes are refused."""
        if self.chunk is None or size < self.chunk:
            self.chunk = size
            log(self.progress, "warning", f"{refusal.message}; sending blobs in pieces of {size >> 10} KiB")

    def may_mount(self, origin: Reference, repository: Reference) -> bool:
        """False once a mount between the two was not allowed: asking for each blob again would take time."""
        return (origin.repository, repository.repository) not in self._no_mounts

    def forbid_mount(self, origin: Reference, repository: Reference) -> None:
        self._no_mounts.add((origin.repository, repository.repository))

    def location(self, response: Response) -> str:
        """The absolute URL of a Location header, its query kept. Raises RegistryError if it leads nowhere safe."""
        try:
            url = urljoin(response.url, response.headers["location"])
            parts = urlsplit(url)
        except (KeyError, ValueError):
            raise self._strange(response, "without saying where to go on (Location)") from None
        if parts.scheme == "http" and self._base_url().startswith("https:"):
            if host_of(url) != self.host.lower():
                raise self._strange(response, "with a Location in plain HTTP")
            # a registry behind a proxy that ends TLS, and does not know it
            parts = parts._replace(scheme="https")
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise self._strange(response, "with a Location that is not HTTP")
        return urlunsplit(parts)

    def refusal(self, response: Response, what: str, repository: Reference, missing: str = "") -> RegistryError:
        """The error for a response that was not expected; `what` completes "cannot ..."."""
        attempt = Attempt(
            what=what,
            credentials=lambda: self._keychain.describe(repository),
            push=self._direction == "push",
            missing=missing or self._missing(repository),
        )
        return explain(response, attempt, self._redaction)

    def _missing(self, repository: Reference) -> str:
        if self._direction == "pull":
            return f"the repository {repository.name} does not exist"
        return (
            f"the repository {repository.name} does not exist and a push does not make it "
            "(a registry may want a project or repository to be made first; GitLab's names begin with a project's path)"
        )

    def _access(self, repository: Reference, mount_from: Reference | None) -> Access:
        actions = "pull,push" if self._direction == "push" else "pull"
        scopes = [f"repository:{repository.repository}:{actions}"]
        if mount_from:
            scopes.append(f"repository:{mount_from.repository}:pull")
        return Access(repository=repository, scopes=tuple(scopes))

    def _strange(self, response: Response, how: str) -> RegistryError:
        request = str(response.request)
        return RegistryError(f"{self.host} answered {how} ({request})", host=self.host, request=request)

    def _base_url(self) -> str:
        if self._base is None:
            with self._lock:
                if self._base is None:
                    self._base = f"{self._scheme()}://{self.host}"
        return self._base

    def _scheme(self) -> Scheme:
        """The first scheme that is answered; what was wrong with HTTPS is the error where HTTP fails too.

        A server that speaks TLS answers plain HTTP with 400.
        """
        if len(self._schemes) == 1:
            return self._schemes[0]
        failures: list[ConnectionFailed] = []
        refused: Scheme | None = None
        for scheme in self._schemes:
            try:
                request = Request(method="GET", url=f"{scheme}://{self.host}/v2/", patience=_PROBE_PATIENCE)
                response = self._bare.send(request)
                response.start(4096)
            except ConnectionFailed as error:
                failures.append(error)
                continue
            if scheme == "http" and same_origin(response.url, f"https://{self.host}"):
                return "https"  # it redirects there
            if scheme == "https" or response.status != 400:
                return scheme
            refused = scheme
        if refused and not _of_tls(failures):
            return refused
        # that HTTPS was not spoken says nothing new where plain HTTP was tried, too
        others = [failure for failure in failures if failure.kind != "plain-http"]
        raise (_of_tls(failures) or (others or failures)[-1:])[0]


def _of_tls(failures: list[ConnectionFailed]) -> list[ConnectionFailed]:
    """Those that show that the server does speak TLS."""
    return [failure for failure in failures if failure.kind == "tls"]
