"""HTTPS with a private CA, as companies have it."""

from __future__ import annotations

import datetime as dt
import ipaddress
import ssl
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from stand_in import QUICK, FakeRegistry, registries

from builder.registry.errors import ConnectionFailed, RegistryError
from builder.registry.policy import RegistryPolicy

DAY = dt.timedelta(days=1)


@dataclass(frozen=True)
class Pair:
    """A certificate and its key, in memory and as PEM files."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey
    certificate_file: Path
    key_file: Path


def issue(directory: Path, name: str, issuer: Pair | None, *, days: int = 1, address: str = "127.0.0.1") -> Pair:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = dt.datetime.now(dt.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - 10 * DAY)
        .not_valid_after(now + days * DAY)
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))]), critical=False)
    )
    certificate = builder.sign(issuer.key if issuer else key, hashes.SHA256())
    files = directory / f"{name}.crt", directory / f"{name}.key"
    files[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    files[1].write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return Pair(certificate, key, *files)


@pytest.fixture
def authority(tmp_path: Path) -> Pair:
    return issue(tmp_path, "authority", None)


def serving(pair: Pair) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.certificate_file, pair.key_file)
    return context


def fetch(registry: FakeRegistry, policy: RegistryPolicy | None = None, **environment: str) -> None:
    registry.add_manifest("a", "1", "", {})
    registries(policy, environment=environment).manifest(registry.reference("a:1"))


def test_an_unknown_authority_is_explained(tmp_path: Path, authority: Pair) -> None:
    with FakeRegistry(tls=serving(issue(tmp_path, "server", authority))) as registry:
        with pytest.raises(ConnectionFailed, match="certificate is not accepted: unable to get") as caught:
            fetch(registry)
    assert caught.value.kind == "tls"
    assert f"--registry-certificate {registry.host}=FILE" in (caught.value.hint or "")
    assert f"--skip-tls-verify-registry {registry.host}" in (caught.value.hint or "")


@pytest.mark.parametrize(("days", "address", "reason"), [(-5, "127.0.0.1", "expired"), (1, "127.0.0.9", "mismatch")])
def test_bad_certificates_are_explained(tmp_path: Path, authority: Pair, days: int, address: str, reason: str) -> None:
    pair = issue(tmp_path, "server", authority, days=days, address=address)
    with FakeRegistry(tls=serving(pair)) as registry:
        policy = RegistryPolicy(certificates={registry.host: authority.certificate_file}, backoff=QUICK)
        with pytest.raises(ConnectionFailed, match=reason):
            fetch(registry, policy)


def test_the_authority_may_be_named_in_many_ways(tmp_path: Path, authority: Pair) -> None:
    directory = tmp_path / "authorities"
    directory.mkdir()
    (directory / "company.pem").write_bytes(authority.certificate_file.read_bytes())
    (directory / "README").write_text("not a certificate")
    file = str(authority.certificate_file)
    with FakeRegistry(tls=serving(issue(tmp_path, "server", authority))) as registry:
        fetch(registry, RegistryPolicy(certificates={registry.host: authority.certificate_file}))
        fetch(registry, RegistryPolicy(certificates={"127.0.0.1": authority.certificate_file}))
        fetch(registry, SSL_CERT_DIR=f"/no/such/directory:{directory}")
        fetch(registry, SSL_CERT_FILE=file)
        fetch(registry, CI_SERVER_TLS_CA_FILE=file)


def test_verification_can_be_switched_off(tmp_path: Path, authority: Pair, recwarn: pytest.WarningsRecorder) -> None:
    with FakeRegistry(tls=serving(issue(tmp_path, "server", authority))) as registry:
        fetch(registry, RegistryPolicy(skip_tls=frozenset({registry.host})))
        fetch(registry, RegistryPolicy(skip_tls_pull=True))
        fetch(registry, RegistryPolicy(insecure=frozenset({registry.host})))
        with pytest.raises(ConnectionFailed):
            fetch(registry, RegistryPolicy(skip_tls_push=True, backoff=QUICK))
    assert not recwarn.list


def test_a_client_certificate_is_shown(tmp_path: Path, authority: Pair) -> None:
    context = serving(issue(tmp_path, "server", authority))
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(authority.certificate_file)
    client = issue(tmp_path, "client", authority)
    with FakeRegistry(tls=context) as registry:
        certificates = {registry.host: authority.certificate_file}
        with pytest.raises(ConnectionFailed):
            fetch(registry, RegistryPolicy(certificates=certificates, backoff=QUICK))
        policy = RegistryPolicy(
            certificates=certificates,
            client_certificates={registry.host: (client.certificate_file, client.key_file)},
        )
        fetch(registry, policy)


@pytest.mark.parametrize("content", [None, "not a certificate"])
def test_a_certificate_file_that_cannot_be_used(tmp_path: Path, content: str | None) -> None:
    file = tmp_path / "ca.pem"
    if content:
        file.write_text(content)
    with (
        FakeRegistry() as registry,
        pytest.raises(RegistryError, match=f"the CA certificate {file} for {registry.host}"),
    ):
        fetch(registry, RegistryPolicy(certificates={registry.host: file}))
