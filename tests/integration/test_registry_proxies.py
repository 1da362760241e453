"""Everything through an HTTP proxy, with and without a login, and what a proxy refuses."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conformance.attributes import Attributes
from conformance.servers import web_server
from support.builder import Builder
from support.certificates import certificate, tls_front
from support.contexts import MakeContext
from support.http_proxy import HttpProxy, tinyproxy, tunnel_end
from support.registry import LoopbackRegistry

FAR, WEB = "far.example.test", "web.example.test"
USER, PASSWORD = "proxy-user", "proxy-pass-7319"
PLAIN = ("--insecure-registry", FAR)


@pytest.fixture(
    params=[
        pytest.param("", id="open", marks=pytest.mark.exhaustive),
        pytest.param(f"{USER}:{PASSWORD}", id="login"),
    ]
)
def proxy(request: pytest.FixtureRequest, scratch: Path, registry: LoopbackRegistry) -> Iterator[HttpProxy]:
    """Behind it are a registry and a web server, whose names nobody else knows."""
    served = {"file": Attributes(type="file", data=b"from far away\n", mtime=1400000000)}
    with (
        web_server(served, scratch / "web") as web,
        tinyproxy(scratch, {FAR: registry.host, WEB: web}, login=request.param) as running,
    ):
        yield running


def config_of(archive: Path) -> dict[str, Any]:
    """The config of the image in a docker archive."""
    with tarfile.open(archive) as tar:
        (entry,) = json.load(tar.extractfile("manifest.json"))
        config: dict[str, Any] = json.load(tar.extractfile(entry["Config"]))
        return config


def test_images_urls_and_git(
    user_builder: Builder, make_context: MakeContext, proxy: HttpProxy, registry: LoopbackRegistry, repository: str
) -> None:
    lines = ["FROM scratch", f"ADD http://{WEB}/file /file", f"ADD http://{WEB}/git/project.git /project"]
    builder = user_builder.with_environment(HTTP_PROXY=proxy.url)
    context = make_context({"Dockerfile": "\n".join(lines)})
    built = builder.run("--context", context, "-vtrace", "--destination", f"{FAR}/{repository}:1", *PLAIN).ok()
    assert PASSWORD not in built.output
    context = make_context(
        {"Dockerfile": f"FROM {FAR}/{repository}:1\nCOPY --from={FAR}/{repository}:1 /file /again\n"}
    )
    archive = builder.home / "image.tar"
    builder.run("--context", context, "--no-push", "--tar-path", archive, *PLAIN).ok()
    assert registry.tags(repository) == ["1"]
    for part in (f"http://{FAR}/v2/{repository}/manifests/1", f"http://{WEB}/file", f"http://{WEB}/git/project.git/"):
        assert part in proxy.log()
    assert PASSWORD not in json.dumps(config_of(archive))


def test_contexts(user_builder: Builder, proxy: HttpProxy) -> None:
    builder = user_builder.with_environment(http_proxy=proxy.url)
    url = f"http://{WEB}/git/project.git"
    missing = builder.run("--context", url, "--no-push")
    missing.failed("Dockerfile not found")  # it was there, but there is none in it
    assert f"http://{WEB}/git/project.git/info/refs" in proxy.log()
    builder.run("--context", f"http://{WEB}/none.tar.gz", "--no-push").failed("none.tar.gz answered 404 Not Found")
    assert PASSWORD not in missing.output


def test_no_proxy_is_heeded(
    user_builder: Builder, make_context: MakeContext, registry: LoopbackRegistry, proxy: HttpProxy
) -> None:
    builder = user_builder.with_environment(http_proxy=proxy.url, no_proxy=f".org,{FAR}:80,10.0.0.0/8")
    context = make_context({"Dockerfile": f"FROM {FAR}/a\n"})
    builder.run("--context", context, "--no-push", *PLAIN).failed(f"cannot find the host {FAR}")
    context = make_context({"Dockerfile": f"FROM scratch\nADD http://{WEB}/git/project.git /\n"})
    direct = builder.with_environment(no_proxy="example.test")
    direct.run("--context", context, "--no-push").failed("(?s)git fetch of .* failed: .*Could not resolve host")
    assert "Request (file descriptor" not in proxy.log()


@pytest.fixture
def strict(scratch: Path, registry: LoopbackRegistry) -> Iterator[HttpProxy]:
    """It wants a login, and forbids a host."""
    hosts = {FAR: registry.host, WEB: registry.host}
    with tinyproxy(scratch, hosts, login=f"{USER}:{PASSWORD}", forbidden=["web"]) as running:
        yield running


@pytest.mark.parametrize(
    ("scheme", "login", "host", "message"),
    [
        ("http", "", FAR, r"the proxy 127\.0\.0\.1:\d+ answered 407(?s:.*)user:password@"),
        (
            "http",
            f"{USER}:not-the-password@",
            FAR,
            r"the proxy 127\.0\.0\.1:\d+ on .* answered 401(?s:.*)have refused the user",
        ),
        ("http", f"{USER}:{PASSWORD}@", WEB, rf"{WEB} \(or the proxy 127\.0\.0\.1:\d+ on the way there\) answered 403"),
        ("https", "", FAR, r"the proxy 127\.0\.0\.1:\d+ does not connect to .*407 \(it wants a user and password\)"),
        ("https", f"{USER}:{PASSWORD}@", WEB, r"the proxy .* does not connect to .*403 \(it forbids this host\)"),
    ],
)
def test_what_a_proxy_refuses(
    user_builder: Builder,
    make_context: MakeContext,
    strict: HttpProxy,
    scheme: str,
    login: str,
    host: str,
    message: str,
) -> None:
    environment = {f"{scheme}_proxy": f"http://{login}127.0.0.1:{strict.port}"}
    context = make_context({"Dockerfile": f"FROM {host}/a:1\n"})
    flags = ("--insecure-registry", host) if scheme == "http" else ()
    refused = user_builder.with_environment(**environment).run("--context", context, "--no-push", *flags)
    refused.failed(message)
    assert "not-the-password" not in refused.output
    assert PASSWORD not in refused.output


def test_urls_that_a_proxy_refuses(user_builder: Builder, make_context: MakeContext, strict: HttpProxy) -> None:
    builder = user_builder.with_environment(http_proxy=f"http://127.0.0.1:{strict.port}")
    context = make_context({"Dockerfile": f"FROM scratch\nADD http://{FAR}/file /\n"})
    builder.run("--context", context, "--no-push").failed("answered 407(?s:.*)the proxy wants a user and password")
    builder = user_builder.with_environment(http_proxy=strict.url)
    context = make_context({"Dockerfile": f"FROM scratch\nADD http://{WEB}/file /\n"})
    builder.run("--context", context, "--no-push").failed("answered 403(?s:.*)may be the answer of the proxy")
    context = make_context({"Dockerfile": f"FROM scratch\nADD http://{FAR}/x.git /\n"})
    builder = user_builder.with_environment(http_proxy=f"http://127.0.0.1:{strict.port}")
    builder.run("--context", context, "--no-push").failed("407(?s:.*)the proxy wants a user and password")


def test_https_through_a_tunnel(
    user_builder: Builder, make_context: MakeContext, registry: LoopbackRegistry, repository: str, scratch: Path
) -> None:
    """Tokens, certificates and errors are those of the registry at the other end."""
    shown = certificate(scratch, "far", hosts=[FAR])
    shown.key.chmod(0o644)
    context = make_context({"Dockerfile": "FROM scratch\nCOPY a /\n", "a": "x"})
    arguments = ("--context", context, "--destination", f"{FAR}/{repository}:1")
    with (
        tls_front(shown, registry.port) as front,
        tunnel_end(int(front.rpartition(":")[2])) as end,
        tinyproxy(scratch, {FAR: end}, login=f"{USER}:{PASSWORD}") as proxy,
    ):
        builder = user_builder.with_environment(https_proxy=proxy.url)
        unknown = builder.run(*arguments)
        unknown.failed(
            rf"(?s)through the proxy 127\.0\.0\.1:{proxy.port} failed: .*issuer: CN=an authority of the tests"
        )
        builder.run(*arguments, f"--registry-certificate={FAR}={shown.authority}").ok()
        assert registry.tags(repository) == ["1"]
        secure = certificate(scratch, "proxy")
        with tls_front(secure, proxy.port) as by_tls:
            url = f"https://{USER}:{PASSWORD}@{by_tls}"
            trusting = builder.with_environment(https_proxy=url, SSL_CERT_FILE=str(secure.authority))
            trusting.run(*arguments).ok()
    assert f"CONNECT {FAR}:443" in proxy.log()
    with tunnel_end(registry.port) as end, tinyproxy(scratch, {FAR: end}) as proxy:
        builder = user_builder.with_environment(https_proxy=proxy.url)
        builder.run(*arguments).failed(f"(?s)plain HTTP where HTTPS was expected.*add --insecure-registry {FAR}")


def test_config_json_gives_build_args(user_builder: Builder, make_context: MakeContext) -> None:
    """An explicit --build-arg wins."""
    (user_builder.home / ".docker").mkdir()
    proxies = {"httpProxy": "http://of-the-file:1", "noProxy": "of.the.file"}
    (user_builder.home / ".docker/config.json").write_text(json.dumps({"proxies": {"default": proxies}}))
    context = make_context(
        {"Dockerfile": "FROM scratch\nARG HTTP_PROXY\nARG no_proxy\nLABEL a=$HTTP_PROXY b=$no_proxy\n"}
    )
    archive = user_builder.home / "image.tar"
    flags = ("--build-arg", "HTTP_PROXY=http://of-the-flag:2")
    user_builder.run("--context", context, "--no-push", "--tar-path", archive, *flags).ok()
    assert config_of(archive)["config"]["Labels"] == {"a": "http://of-the-flag:2", "b": "of.the.file"}
