"""TLS contexts: which certificates a host's is checked against, and which one is shown to it."""

from __future__ import annotations

import contextlib
import os
import ssl
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path

from builder.registry.errors import RegistryError
from builder.registry.policy import Direction, RegistryPolicy, for_host

_KANIKO_CERTIFICATES = "/kaniko/ssl/certs"
_CERTIFICATE_DIRECTORIES = ("/etc/docker/certs.d", "/etc/containers/certs.d")


class TlsContexts:
    """A context for each host that needs one of its own, and one for all others. Thread-safe."""

    def __init__(self, policy: RegistryPolicy, environment: Mapping[str, str]) -> None:
        self._policy, self._environment = policy, environment
        self._contexts: dict[tuple[object, ...], ssl.SSLContext] = {}
        self._lock = threading.Lock()

    def context(self, host: str, direction: Direction) -> ssl.SSLContext:
        """The context for ``host:port``. Raises RegistryError if a certificate file cannot be used."""
        verify = self._policy.verifies(host, direction)
        authorities, client = self._files(host)
        key = (verify, authorities, client)
        with self._lock:
            if key not in self._contexts:
                self._contexts[key] = self._make(host, verify, authorities, client)
            return self._contexts[key]

    def _files(self, host: str) -> tuple[tuple[Path, ...], tuple[Path, Path] | None]:
        named = for_host(self._policy.certificates, host)
        authorities = [named] if named else []
        client = for_host(self._policy.client_certificates, host)
        for directory in (Path(base, host) for base in _CERTIFICATE_DIRECTORIES):
            if (directory / "ca.crt").is_file():
                authorities.append(directory / "ca.crt")
            if client is None and (directory / "client.cert").is_file():
                client = (directory / "client.cert", directory / "client.key")
        return tuple(authorities), client

    def _make(
        self, host: str, verify: bool, authorities: tuple[Path, ...], client: tuple[Path, Path] | None
    ) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        if verify:
            context.load_default_certs()
            _load_all(context, _certificate_files(self._environment))
            for file in authorities:
                with _about(host, f"the CA certificate {file}"):
                    context.load_verify_locations(cafile=file)
        else:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if client:
            with _about(host, f"the client certificate {client[0]} with key {client[1]}"):
                # a password is never asked for on the terminal
                context.load_cert_chain(client[0], client[1], password="")
        return context


def _certificate_files(environment: Mapping[str, str]) -> Iterator[str]:
    """Every file that the environment names: OpenSSL itself reads only the hashed names of a directory."""
    for name in ("SSL_CERT_FILE", "CI_SERVER_TLS_CA_FILE"):
        if environment.get(name):
            yield environment[name]
    directories = [each for each in environment.get("SSL_CERT_DIR", "").split(":") if each]
    for directory in dict.fromkeys([*directories, _KANIKO_CERTIFICATES]):
        with contextlib.suppress(OSError):
            yield from sorted(entry.path for entry in os.scandir(directory) if entry.is_file())


def _load_all(context: ssl.SSLContext, files: Iterator[str]) -> None:
    """Load what can be loaded: a directory may hold other things too, and a missing CA shows in the handshake."""
    for file in files:
        with contextlib.suppress(OSError):
            context.load_verify_locations(cafile=file)


@contextlib.contextmanager
def _about(host: str, what: str) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        reason = getattr(error, "strerror", None) or getattr(error, "reason", None) or "it is not a PEM file"
        raise RegistryError(f"{what} for {host} cannot be used: {reason}", host=host) from None
