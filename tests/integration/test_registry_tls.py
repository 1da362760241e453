"""Registries, URLs and git by HTTPS with a private authority: one policy for all of them."""

from __future__ import annotations

import io
import ssl
import subprocess
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from conformance.attributes import Attributes
from conformance.servers import web_server
from support.builder import Builder
from support.certificates import Certificate, certificate, tls_front
from support.contexts import MakeContext
from support.registry import LoopbackRegistry, free_port
from support.tls_registry import TlsRegistry


@pytest.fixture(scope="module")
def directory(session_directory: Path) -> Path:
    """Certificates, for everybody to read: builds run as another user."""
    made = session_directory / "certificates"
    made.mkdir()
    for name in ("own", "client"):
        certificate(made, name).key.chmod(0o644)
    return made


@pytest.fixture(scope="module")
def shown(directory: Path) -> Certificate:
    return Certificate(
        file=directory / "own.crt", key=directory / "own.key", authority=directory / "certificate-authority.crt"
    )


@pytest.fixture(scope="module")
def client(directory: Path) -> Certificate:
    return Certificate(
        file=directory / "client.crt", key=directory / "client.key", authority=directory / "certificate-authority.crt"
    )


@pytest.fixture(scope="module")
def mutual(shown: Certificate, client: Certificate) -> Iterator[TlsRegistry]:
    """A registry that wants to see the client's certificate."""
    with TlsRegistry(shown, client=client) as running:
        yield running


def both_ways(builder: Builder, make_context: MakeContext, name: str, *flags: str) -> None:
    """Push an image, and build on it."""
    context = make_context({"Dockerfile": "FROM scratch\nCOPY a /\n", "a": "x"})
    builder.run("--context", context, "--destination", f"{name}:base", *flags).ok()
    context = make_context({"Dockerfile": f"FROM {name}:base\nCOPY b /\n", "b": "y"})
    builder.run("--context", context, "--destination", f"{name}:app", *flags).ok()


def test_a_client_certificate_by_flags(
    user_builder: Builder,
    make_context: MakeContext,
    mutual: TlsRegistry,
    shown: Certificate,
    client: Certificate,
    repository: str,
) -> None:
    authority = f"--registry-certificate={mutual.host}={shown.authority}"
    own = f"--registry-client-cert={mutual.host}={client.file},{client.key}"
    both_ways(user_builder, make_context, mutual.reference(repository), authority, own)
    assert mutual.tags(repository) == ["app", "base"]
    context = make_context({"Dockerfile": f"FROM {mutual.reference(repository)}:app\n"})
    without = user_builder.run("--context", context, "--no-push", authority)
    without.failed(rf"certificate(?s:.*)--registry-client-cert {mutual.host}=CERT,KEY")


def test_certificates_beside_config_json(
    user_builder: Builder,
    make_context: MakeContext,
    mutual: TlsRegistry,
    shown: Certificate,
    client: Certificate,
    repository: str,
    scratch: Path,
) -> None:
    place = scratch / "docker/certs.d" / mutual.host
    place.mkdir(parents=True)
    for file, name in ((shown.authority, "ca.crt"), (client.file, "client.cert"), (client.key, "client.key")):
        (place / name).write_bytes(file.read_bytes())
    builder = user_builder.with_environment(DOCKER_CONFIG=str(scratch / "docker"))
    both_ways(builder, make_context, mutual.reference(repository))
    assert mutual.tags(repository) == ["app", "base"]


def test_an_authority_of_gitlab_and_one_nobody_knows(
    user_builder: Builder, make_context: MakeContext, shown: Certificate, repository: str
) -> None:
    with TlsRegistry(shown) as registry:
        name = registry.reference(repository)
        both_ways(user_builder.with_environment(CI_SERVER_TLS_CA_FILE=str(shown.authority)), make_context, name)
        context = make_context({"Dockerfile": f"FROM {name}:base\n"})
        refused = user_builder.run("--context", context, "--no-push")
        refused.failed(r"certificate is not accepted(?s:.*)issuer: CN=an authority of the tests(?s:.*)SSL_CERT_DIR")
        pushed = user_builder.run("--context", make_context({"Dockerfile": "FROM scratch\nCOPY a /\n", "a": "x"}),
                                  "--destination", f"{name}:2")  # fmt: skip
        pushed.failed("certificate is not accepted")
        skipped = ("--skip-tls-verify-registry", registry.host)
        user_builder.run("--context", context, "--destination", f"{name}:2", *skipped).ok()
        user_builder.run("--context", context, "--no-push", "--skip-tls-verify-pull").ok()
        assert registry.tags(repository) == ["2", "app", "base"]


@pytest.fixture
def web(scratch: Path, shown: Certificate) -> Iterator[str]:
    """``host:port`` of a web server with a file, a context, a Dockerfile and a git repository."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        info = tarfile.TarInfo("of-the-context")
        info.size = 3
        tar.addfile(info, io.BytesIO(b"abc"))
    dockerfile = b"ARG HOST\nFROM scratch\nARG HOST\nCOPY of-the-context /\nADD https://${HOST}/file /\n"
    dockerfile += b"ADD https://${HOST}/git/project.git /project/\n"
    served = {
        "file": Attributes(type="file", data=b"from the web\n", mtime=1400000000),
        "context.tar.gz": Attributes(type="file", data=packed.getvalue()),
        "Dockerfile": Attributes(type="file", data=dockerfile),
    }
    with web_server(served, scratch / "web") as plain, tls_front(shown, int(plain.rpartition(":")[2])) as host:
        yield host


def everything(builder: Builder, host: str, output: Path, *flags: str) -> list[str]:
    """Build from nothing but URLs; returns the names of the image's files."""
    arguments = ("--context", f"https://{host}/context.tar.gz", "--dockerfile", f"https://{host}/Dockerfile")
    builder.run(*arguments, "--build-arg", f"HOST={host}", "--no-push", "--tar-path", output, *flags).ok()
    names = []
    with tarfile.open(output) as image:
        for member in image:
            if member.name.endswith(".tar.gz"):
                with tarfile.open(fileobj=image.extractfile(member)) as layer:
                    names += layer.getnames()
    return names


@pytest.mark.parametrize(
    "how",
    [
        pytest.param("file", marks=pytest.mark.exhaustive),
        "directory",
        pytest.param("flag", marks=pytest.mark.exhaustive),
        "skip",
    ],
)
def test_urls_and_git_go_by_the_same_certificates(
    user_builder: Builder, web: str, shown: Certificate, scratch: Path, how: str
) -> None:
    (scratch / "authorities").mkdir()
    (scratch / "authorities/company.pem").write_bytes(shown.authority.read_bytes())
    environment = {
        "file": {"SSL_CERT_FILE": str(shown.authority)},
        "directory": {"SSL_CERT_DIR": f"{scratch}/authorities"},
    }
    flags = {
        "flag": (f"--registry-certificate={web}={shown.authority}",),
        "skip": (f"--skip-tls-verify-registry={web}",),
    }
    builder = user_builder.with_environment(**environment.get(how, {}))
    names = everything(builder, web, builder.home / "image.tar", *flags.get(how, ()))
    assert {"of-the-context", "file", "project"} <= set(names)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            "ADD https://HOST/file /",
            r"cannot fetch https://HOST/file: the TLS connection .*certificate is not accepted",
        ),
        ("ADD https://HOST/git/project.git /", r"git fetch of https://HOST/git/project.git failed.*certificate"),
    ],
)
def test_an_unknown_authority_of_urls_and_git(
    user_builder: Builder, make_context: MakeContext, web: str, line: str, message: str
) -> None:
    context = make_context({"Dockerfile": f"FROM scratch\n{line.replace('HOST', web)}\n"})
    refused = user_builder.run("--context", context, "--no-push", "--skip-tls-verify-pull")  # which is for images alone
    refused.failed(f"(?s){message.replace('HOST', web)}.*SSL_CERT_DIR")


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"begins": -9, "ends": -2}, "certificate has expired"),
        ({"begins": 2, "ends": 9}, "certificate is not yet valid"),
        (
            {"hosts": ["registry.example.com", "127.0.0.8"]},
            r"(?s)mismatch.*names: registry\.example\.com, 127\.0\.0\.8",
        ),
    ],
)
def test_certificates_that_are_no_good(
    user_builder: Builder, make_context: MakeContext, scratch: Path, how: dict[str, int], message: str
) -> None:
    bad = certificate(scratch, "bad", **how)
    with tls_front(bad, 1) as host:
        context = make_context({"Dockerfile": f"FROM {host}/a\n"})
        builder = user_builder.with_environment(SSL_CERT_FILE=str(bad.authority))
        builder.run("--context", context, "--no-push").failed(message)


def test_behind_nginx_that_wants_a_client_certificate(
    user_builder: Builder,
    make_context: MakeContext,
    registry: LoopbackRegistry,
    shown: Certificate,
    client: Certificate,
    repository: str,
    scratch: Path,
) -> None:
    with nginx(scratch, registry.host, shown) as host:
        authority = f"--registry-certificate={host}={shown.authority}"
        context = make_context({"Dockerfile": "FROM scratch\nCOPY a /\n", "a": "x"})
        without = user_builder.run("--context", context, "--destination", f"{host}/{repository}:1", authority)
        without.failed(f"400 Bad Request(?s:.*)--registry-client-cert {host}=CERT,KEY")
        own = f"--registry-client-cert={host}={client.file},{client.key}"
        both_ways(user_builder, make_context, f"{host}/{repository}", authority, own)
    assert registry.tags(repository) == ["app", "base"]


class nginx:  # noqa: N801 - it is used as a function
    """nginx in front of a registry, as it is usually set up; gives its ``host:port``."""

    def __init__(self, directory: Path, behind: str, shown: Certificate) -> None:
        self._port = free_port()
        self._directory = directory / "nginx"
        self._directory.mkdir()
        places = " ".join(
            f"{name}_temp_path {self._directory}/{name};"
            for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        (self._directory / "nginx.conf").write_text(
            f"daemon off; pid {self._directory}/pid; error_log {self._directory}/log; events {{}}\n"
            f"http {{ access_log off; {places} server {{ listen 127.0.0.1:{self._port} ssl;\n"
            f"ssl_certificate {shown.file}; ssl_certificate_key {shown.key};\n"
            f"ssl_client_certificate {shown.authority}; ssl_verify_client on; client_max_body_size 0;\n"
            f"location / {{ proxy_pass http://{behind}; proxy_set_header Host $http_host;\n"
            "proxy_set_header X-Forwarded-Proto https; } } }\n"
        )
        self._authority = shown.authority

    def __enter__(self) -> str:
        arguments = ["nginx", "-p", str(self._directory), "-c", str(self._directory / "nginx.conf")]
        self._process = subprocess.Popen([*arguments, "-e", str(self._directory / "log")])
        for _ in range(200):
            try:
                ssl.get_server_certificate(("127.0.0.1", self._port), timeout=1)
                return f"127.0.0.1:{self._port}"
            except OSError:
                time.sleep(0.05)
        self._process.terminate()
        raise RuntimeError((self._directory / "log").read_text())

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait(20)
