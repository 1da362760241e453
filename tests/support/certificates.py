"""A certificate authority of the tests' own, and servers that speak TLS with its certificates."""

from __future__ import annotations

import contextlib
import datetime as dt
import ipaddress
import select
import socket
import ssl
import threading
from collections.abc import Iterator, Sequence
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


def certificate(
    directory: Path, name: str = "own", *, hosts: Sequence[str] = ("127.0.0.1",), begins: int = -1, ends: int = 1
) -> Certificate:
    """A certificate signed by the authority of `directory`, which nobody knows and which is made for the first one.

    Args:
        name: of the files and of the subject.
        hosts: the names and addresses that it is for.
        begins, ends: days from now between which it is valid.
    """
    issuer, issuer_key = _authority(directory)
    key = ec.generate_private_key(ec.SECP256R1())
    own = _sign(name, key, issuer, issuer_key, hosts=hosts, begins=begins, ends=ends)
    made = Certificate(file=directory / f"{name}.crt", key=directory / f"{name}.key", authority=directory / _AUTHORITY)
    made.file.write_bytes(own.public_bytes(serialization.Encoding.PEM))
    made.key.write_bytes(_pem(key))
    return made


_AUTHORITY = "certificate-authority.crt"


def _authority(directory: Path) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    file, key_file = directory / _AUTHORITY, directory / "certificate-authority.key"
    if not file.exists():
        key = ec.generate_private_key(ec.SECP256R1())
        made = _sign("an authority of the tests", key, None, key, hosts=(), begins=-30, ends=30)
        key_file.write_bytes(_pem(key))
        file.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    found = serialization.load_pem_private_key(key_file.read_bytes(), None)
    assert isinstance(found, ec.EllipticCurvePrivateKey)
    return x509.load_pem_x509_certificate(file.read_bytes()), found


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _sign(
    name: str,
    key: ec.EllipticCurvePrivateKey,
    issuer: x509.Certificate | None,
    issuer_key: ec.EllipticCurvePrivateKey,
    *,
    hosts: Sequence[str],
    begins: int,
    ends: int,
) -> x509.Certificate:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = dt.datetime.now(dt.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + begins * _DAY)
        .not_valid_after(now + ends * _DAY)
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
    )
    if hosts:
        names = x509.SubjectAlternativeName([_general_name(host) for host in hosts])
        builder = builder.add_extension(names, critical=False)
    return builder.sign(issuer_key, hashes.SHA256())


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


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
