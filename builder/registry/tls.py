"""TLS contexts: which certificates a host's is checked against, and which one is shown to it."""

from __future__ import annotations

import contextlib
import os
import ssl
import threading
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from builder.registry.certificate_files import (
    AUTHORITY_FILES,
    SYSTEM_BUNDLES,
    authority_files,
    host_directories,
    read_authorities,
)
from builder.registry.errors import RegistryError
from builder.registry.policy import Direction, RegistryPolicy, for_host


class TlsContexts:
    """A context for each host that needs one of its own, and one for all others. Thread-safe."""

    def __init__(self, policy: RegistryPolicy, environment: Mapping[str, str]) -> None:
        self._policy, self._environment = policy, environment
        self._contexts: dict[tuple[object, ...], ssl.SSLContext] = {}
        self._held: list[str] | None = None
        self._lock = threading.Lock()

    def context(self, host: str, direction: Direction) -> ssl.SSLContext:
        """The context for ``host:port``. Raises RegistryError if a certificate file cannot be used."""
        verify = self._policy.verifies(host, direction)
        authorities, client = self.authorities(host), self.client_certificate(host)
        key = (verify, authorities, client)
        with self._lock:
            if key not in self._contexts:
                self._contexts[key] = self._make(host, verify, authorities, client)
            return self._contexts[key]

    def hold(self) -> None:
        """Read now what every host is checked against, since the system's files are about to be others'."""
        held = _certificates([*_system_files(), *authority_files(self._environment)])
        with self._lock:
            self._held = held

    def bundle(self, host: str) -> list[str]:
        """All that a host is checked against, in PEM, for another program; nothing if that is the system's alone."""
        own = _certificates(map(str, self.authorities(host)))
        if self._held is not None:
            return [*self._held, *own]
        found = [*_certificates(authority_files(self._environment)), *own]
        return list(dict.fromkeys([*_certificates(_system_files()), *found])) if found else []

    def authorities(self, host: str) -> tuple[Path, ...]:
        """The files with certificate authorities for this host alone."""
        named = for_host(self._policy.certificates, host)
        found = [named] if named else []
        for directory in host_directories(host, self._environment):
            found += sorted(directory.glob("*.crt"))
        return tuple(found)

    def client_certificate(self, host: str) -> tuple[Path, Path] | None:
        """The certificate and the key that this host is shown."""
        if named := for_host(self._policy.client_certificates, host):
            return named
        for directory in host_directories(host, self._environment):
            for certificate in sorted(directory.glob("*.cert")):
                return certificate, certificate.with_suffix(".key")
        return None

    def unreadable(self) -> list[str]:
        """``VARIABLE=file`` of each file that a variable names and that holds no certificate."""
        named = ((name, self._environment.get(name, "")) for name in AUTHORITY_FILES)
        return [f"{name}={file}" for name, file in named if file and not read_authorities(file)]

    def _make(
        self, host: str, verify: bool, authorities: tuple[Path, ...], client: tuple[Path, Path] | None
    ) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        if verify:
            # a certificate that somebody has given is trusted, be it a root, an intermediate one or the server's own
            context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
            self._load_common(context)
            for file in authorities:
                with _about(host, f"the CA certificate {file}"):
                    _load(context, file)
        else:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if client:
            with _about(host, f"the client certificate {client[0]} with key {client[1]}"):
                # a password is never asked for on the terminal
                context.load_cert_chain(client[0], client[1], password="")
        return context

    def _load_common(self, context: ssl.SSLContext) -> None:
        """What can be loaded: a directory may hold other things too, and a missing CA shows in the handshake."""
        if self._held is not None:
            for pem in self._held:
                _added(context, pem)
            return
        _load_system(context)
        for file in authority_files(self._environment):
            with contextlib.suppress(OSError, ValueError):
                _load(context, Path(file))


def _load(context: ssl.SSLContext, file: Path) -> None:
    """Load PEM or DER. Raises OSError, ValueError."""
    try:
        context.load_verify_locations(cafile=file)
    except ssl.SSLError:
        # OpenSSL gives up at what it does not understand, and reads no DER; one good certificate may be all it takes
        if not [pem for pem in read_authorities(str(file)) if _added(context, pem)]:
            raise


def _added(context: ssl.SSLContext, pem: str) -> bool:
    try:
        context.load_verify_locations(cadata=pem)
    except (ssl.SSLError, ValueError):
        return False
    return True


def _load_system(context: ssl.SSLContext) -> None:
    """The system's, also where SSL_CERT_FILE and SSL_CERT_DIR are set, which OpenSSL would read in their place."""
    paths = ssl.get_default_verify_paths()
    # only the names of a directory are read, and a certificate when it is needed: that is quick
    if os.path.isdir(paths.openssl_capath) and os.listdir(paths.openssl_capath):
        context.load_verify_locations(capath=paths.openssl_capath)
    for file in _system_files(directory=False):
        with contextlib.suppress(OSError):
            context.load_verify_locations(cafile=file)


def _system_files(*, directory: bool = True) -> list[str]:
    """The system's files of certificates: where this OpenSSL looks, else where distributions have them."""
    paths = ssl.get_default_verify_paths()
    found = _files_of(paths.openssl_capath)
    files = [paths.openssl_cafile] if os.path.isfile(paths.openssl_cafile) else []
    if not found and not files:
        files = [next(filter(os.path.isfile, SYSTEM_BUNDLES), "")]
    return [file for file in [*files, *(found if directory else ())] if file]


def _certificates(files: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(pem for file in files for pem in read_authorities(file)))


def _files_of(directory: str | None) -> list[str]:
    try:
        return sorted(entry.path for entry in os.scandir(directory) if entry.is_file()) if directory else []
    except OSError:
        return []


@contextlib.contextmanager
def _about(host: str, what: str) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        raise RegistryError(f"{what} for {host} cannot be used: {_reason(error)}", host=host) from None


def _reason(error: Exception) -> str:
    if isinstance(error, ssl.SSLError) and error.reason == "KEY_VALUES_MISMATCH":
        return "the key is another certificate's"
    if isinstance(error, ssl.SSLError) or not isinstance(error, OSError):
        return "it is not in PEM form, or needs a passphrase"
    return error.strerror or "it cannot be read"
