"""A certificate authority of the tests' own, and servers that speak TLS with its certificates."""

from __future__ import annotations

import contextlib
import datetime as dt
import ipaddress
import select
import socket
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

_DAY = dt.timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """PEM files; `authority` is the file with the certificate of who signed it."""

    file: Path
    key: Path
    authority: Path


def certificate(directory: Path) -> Certificate:
    """A certificate for 127.0.0.1, signed by a new authority that nobody knows."""
    authority_key = ec.generate_private_key(ec.SECP256R1())
    authority = _sign("an authority of the tests", authority_key, None, authority_key)
    key = ec.generate_private_key(ec.SECP256R1())
    own = _sign("127.0.0.1", key, authority, authority_key)
    made = Certificate(
        file=directory / "own.crt", key=directory / "own.key", authority=directory / "certificate-authority.crt"
    )
    made.file.write_bytes(own.public_bytes(serialization.Encoding.PEM))
    made.authority.write_bytes(authority.public_bytes(serialization.Encoding.PEM))
    made.key.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return made


def _sign(
    name: str,
    key: ec.EllipticCurvePrivateKey,
    issuer: x509.Certificate | None,
    issuer_key: ec.EllipticCurvePrivateKey,
) -> x509.Certificate:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = dt.datetime.now(dt.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _DAY)
        .not_valid_after(now + _DAY)
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
    )
    return builder.sign(issuer_key, hashes.SHA256())


@contextlib.contextmanager
def tls_front(shown: Certificate, port: int) -> Iterator[str]:
    """Take TLS connections and pass their content on to `port` of 127.0.0.1; yields ``host:port``."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(shown.file, shown.key)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=_serve, args=(listening, context, port), daemon=True).start()
        yield f"127.0.0.1:{listening.getsockname()[1]}"


def _serve(listening: socket.socket, context: ssl.SSLContext, port: int) -> None:
    with contextlib.suppress(OSError):  # the end: it has been closed
        while True:
            connection, _ = listening.accept()
            threading.Thread(target=_pass_on, args=(connection, context, port), daemon=True).start()


def _pass_on(connection: socket.socket, context: ssl.SSLContext, port: int) -> None:
    with contextlib.suppress(OSError), connection:
        with context.wrap_socket(connection, server_side=True) as client:
            with socket.create_connection(("127.0.0.1", port)) as server:
                other = {client: server, server: client}
                while all(_move(source, other[source]) for source in select.select([client, server], [], [])[0]):
                    pass


def _move(source: socket.socket, target: socket.socket) -> bool:
    """Whether `source` goes on."""
    data = source.recv(1 << 16)
    while isinstance(source, ssl.SSLSocket) and source.pending():
        data += source.recv(source.pending())
    target.sendall(data)
    return bool(data)
