"""HTTPS with a private CA, as companies have it."""

from __future__ import annotations

import datetime as dt
import ipaddress
import re
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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


def issue(
    directory: Path, name: str, issuer: Pair | None, *, days: int = 1, address: str = "127.0.0.1", begins: int = -10
) -> Pair:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = dt.datetime.now(dt.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + begins * DAY)
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


def refused(registry: FakeRegistry, *authorities: Pair, **environment: str) -> ConnectionFailed:
    """The error for a registry whose certificate is not accepted."""
    certificates = dict.fromkeys([registry.host], authorities[0].certificate_file) if authorities else {}
    with pytest.raises(ConnectionFailed, match="its certificate is not accepted: ") as caught:
        fetch(registry, RegistryPolicy(certificates=certificates, backoff=QUICK), **environment)
    assert caught.value.kind == "tls"
    assert f"--skip-tls-verify-registry {registry.host}" in (caught.value.hint or "")
    return caught.value


def test_an_unknown_authority_is_explained(tmp_path: Path, authority: Pair) -> None:
    server = issue(tmp_path, "server", authority)
    with FakeRegistry(tls=serving(server)) as registry:
        error = refused(registry, SSL_CERT_FILE=str(tmp_path / "missing.pem"))
        ends = server.certificate.not_valid_after_utc.strftime("%Y-%m-%d %H:%M UTC")
        lines = [
            f"the TLS connection to {registry.host} failed: its certificate is not accepted: ",
            "unable to get local issuer certificate (the authority that vouches for it is not trusted here)",
            "\n  subject: CN=server\n  issuer: CN=authority\n",
            f" to {ends}\n  names: 127.0.0.1",
            f"  SSL_CERT_FILE={tmp_path / 'missing.pem'}: there is no certificate in that file",
        ]
        for line in lines:
            assert line in error.message
        for place in (f"--registry-certificate {registry.host}=FILE", "SSL_CERT_DIR", "(CN=authority)"):
            assert place in (error.hint or "")
        assert f"/etc/docker/certs.d/{registry.host}/ca.crt" in (error.hint or "")


@pytest.mark.parametrize(
    ("how", "message", "hint"),
    [
        ({"days": -5}, r"certificate has expired \(on \d{4}-\d\d-\d\d .*; today is ", "needs a new certificate"),
        ({"begins": 3, "days": 5}, r"certificate is not yet valid \(before \d{4}-.*; today is ", "the clock of"),
        ({"address": "127.0.0.9"}, r"(?s)mismatch.*\n  names: 127\.0\.0\.9", "a name that the certificate is for"),
    ],
)
def test_bad_certificates_are_explained(
    tmp_path: Path, authority: Pair, how: dict[str, Any], message: str, hint: str
) -> None:
    with FakeRegistry(tls=serving(issue(tmp_path, "server", authority, **how))) as registry:
        error = refused(registry, authority)
    assert re.search(message, error.message)
    assert hint in (error.hint or "")


def test_an_authority_that_has_expired_is_not_the_servers_certificate(tmp_path: Path) -> None:
    old = issue(tmp_path, "old", None, days=-1)
    with FakeRegistry(tls=serving(issue(tmp_path, "server", old))) as registry:
        error = refused(registry, old)
    assert "certificate has expired (one of the authorities that vouch for it, not this one itself)" in error.message


def test_a_certificate_that_vouches_for_itself(tmp_path: Path) -> None:
    own = issue(tmp_path, "own", None)
    with FakeRegistry(tls=serving(own)) as registry:
        assert "(it vouches for itself, and is not trusted here)" in refused(registry).message
        fetch(registry, RegistryPolicy(certificates={registry.host: own.certificate_file}))


def test_an_intermediate_authority_is_enough(tmp_path: Path, authority: Pair) -> None:
    """As with Docker and kaniko: what is given is trusted, though nobody has given the root."""
    server = issue(tmp_path, "server", authority)
    with FakeRegistry(tls=serving(server)) as registry:
        fetch(registry, RegistryPolicy(certificates={registry.host: server.certificate_file}))


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
        binary = tmp_path / "authority.der"
        binary.write_bytes(authority.certificate.public_bytes(serialization.Encoding.DER))
        fetch(registry, SSL_CERT_FILE=str(binary))
        fetch(registry, RegistryPolicy(certificates={registry.host: binary}))
        fetch(registry, SSL_CERT_FILE=file)
        fetch(registry, CI_SERVER_TLS_CA_FILE=file)


_DAMAGED = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
_FORMS: dict[str, Callable[[bytes, bytes], bytes]] = {
    "no line's end between": lambda own, other: other.rstrip() + own,
    "another damaged, before": lambda own, other: _DAMAGED + own,
    "another damaged, behind": lambda own, other: own + _DAMAGED,
    "spaces before": lambda own, other: b"  " + own,
    "a mark, comments and DOS lines": lambda own, other: b"\xef\xbb\xbf# \xc3\x84\n" + own.replace(b"\n", b"\r\n"),
    "the old name": lambda own, other: own.replace(b" CERTIFICATE", b" X509 CERTIFICATE"),
}


@pytest.mark.parametrize("form", _FORMS)
def test_bundles_as_people_put_them_together(tmp_path: Path, authority: Pair, form: str) -> None:
    """``cat one.crt two.crt``, an editor on Windows, one of many that is broken: all that can be read counts."""
    other, bundle = issue(tmp_path, "other", None), tmp_path / "bundle.pem"
    bundle.write_bytes(_FORMS[form](authority.certificate_file.read_bytes(), other.certificate_file.read_bytes()))
    with FakeRegistry(tls=serving(issue(tmp_path, "server", authority))) as registry:
        fetch(registry, RegistryPolicy(certificates={registry.host: bundle}))
        fetch(registry, SSL_CERT_FILE=str(bundle))
        held = registries(environment={"SSL_CERT_FILE": str(bundle)})
        held.network.tls.hold()
        held.manifest(registry.reference("a:1"))


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


@pytest.mark.parametrize("place", ["docker/certs.d", "home/.docker/certs.d", "home/.config/containers/certs.d"])
def test_certificates_of_hosts(tmp_path: Path, authority: Pair, place: str) -> None:
    """certs.d has a directory for each host, with its authorities and the client's certificate."""
    context = serving(issue(tmp_path, "server", authority))
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(authority.certificate_file)
    client = issue(tmp_path, "client", authority)
    environment = {"HOME": str(tmp_path / "home")}
    environment |= {"DOCKER_CONFIG": str(tmp_path / "docker")} if place.startswith("docker") else {}
    with FakeRegistry(tls=context) as registry:
        directory = tmp_path / place / registry.host
        directory.mkdir(parents=True)
        (directory / "ca.crt").write_bytes(authority.certificate_file.read_bytes())
        with pytest.raises(ConnectionFailed):
            fetch(registry, RegistryPolicy(backoff=QUICK), **environment)
        (directory / "client.cert").write_bytes(client.certificate_file.read_bytes())
        (directory / "client.key").write_bytes(client.key_file.read_bytes())
        fetch(registry, **environment)


def test_the_systems_authorities_count_beside_a_directory(
    tmp_path: Path, authority: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    """OpenSSL itself would read SSL_CERT_FILE and SSL_CERT_DIR in their place."""
    real = ssl.get_default_verify_paths()
    (tmp_path / "empty").mkdir()
    system = real._replace(openssl_cafile=str(authority.certificate_file), openssl_capath=str(tmp_path / "empty"))
    monkeypatch.setattr(ssl, "get_default_verify_paths", lambda: system)
    other = issue(tmp_path, "other", None).certificate_file
    with FakeRegistry(tls=serving(issue(tmp_path, "server", authority))) as registry:
        monkeypatch.setenv("SSL_CERT_FILE", str(other))
        monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path / "empty"))
        fetch(registry, SSL_CERT_FILE=str(other), SSL_CERT_DIR=str(tmp_path / "empty"))


def test_what_was_held_is_what_counts(tmp_path: Path, authority: Pair) -> None:
    """In place, the files of the system become those of a base image."""
    directory = tmp_path / "authorities"
    directory.mkdir()
    environment = {"SSL_CERT_DIR": str(directory)}
    file = directory / "authority.pem"
    with FakeRegistry(tls=serving(issue(tmp_path, "server", authority))) as registry:
        registry.add_manifest("a", "1", "", {})
        before = registries(RegistryPolicy(backoff=QUICK), environment=environment)
        before.network.tls.hold()
        file.write_bytes(authority.certificate_file.read_bytes())
        with pytest.raises(ConnectionFailed, match="certificate is not accepted"):
            before.manifest(registry.reference("a:1"))
        after = registries(environment=environment)
        after.network.tls.hold()
        file.unlink()
        after.manifest(registry.reference("a:1"))


def test_a_bundle_for_git_has_everything(tmp_path: Path, authority: Pair) -> None:
    named = {"h.example": issue(tmp_path, "named", None).certificate_file}
    tls = registries(RegistryPolicy(certificates=named)).network.tls
    assert tls.bundle("other.example") == []
    assert len(tls.bundle("h.example")) > 1  # the system's, and the host's
    assert authority.certificate_file.read_text() in registries(
        environment={"SSL_CERT_FILE": str(authority.certificate_file)}
    ).network.tls.bundle("other.example")
