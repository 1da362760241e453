"""Tokens that expire, lie, come from somewhere else or do not come at all, with docker-registry checking them."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.certificates import certificate
from support.fault_proxy import Fault, FaultProxy, Passing
from support.gitlab_registry import TokenRegistry
from support.nginx import nginx
from support.token_server import PASSWORD, REFRESH_TOKEN, USER, TokenServer

from builder.digest import Digest
from builder.errors import BuilderError
from builder.image.descriptor import Descriptor
from builder.image.reference import Reference
from builder.progress import Recorded
from builder.registry.client import Registries
from builder.registry.errors import RegistryError
from builder.registry.keychain import DockerKeychain
from builder.registry.policy import Backoff, RegistryPolicy
from builder.storage.blob import Blob, MemoryBlob

# docker-registry accepts a token for a minute after its end, in case clocks differ
LEEWAY = 60


def registries(host: str, progress: Recorded | None = None, auth: dict[str, str] | None = None) -> Registries:
    auth = auth or {"username": USER, "password": PASSWORD}
    environment = {"DOCKER_AUTH_CONFIG": json.dumps({"auths": {host: auth}})}
    policy = RegistryPolicy(backoff=Backoff(attempts=3, base=0.01, longest=5), read_timeout=20)
    return Registries(policy, DockerKeychain(environment), progress or Recorded(), environment)


def random_blob(size: int) -> Blob:
    data = os.urandom(size)
    return Blob(descriptor=Descriptor.of("application/octet-stream", data), source=MemoryBlob(data))


@contextlib.contextmanager
def token_registry(tokens: TokenServer) -> Iterator[TokenRegistry]:
    with tokens, TokenRegistry(tokens, f"http://127.0.0.1:{tokens.port}/jwt/auth") as registry:
        yield registry


@pytest.mark.parametrize(
    "auth",
    [
        pytest.param(None, id="GET"),
        pytest.param({"identitytoken": REFRESH_TOKEN}, id="POST", marks=pytest.mark.exhaustive),
    ],
)
def test_a_token_that_ends_during_an_upload_is_renewed_and_the_upload_goes_on(auth: dict[str, str] | None) -> None:
    """The two-second token of the PUT ends on its way: the proxy holds the request until it is of no use any more."""
    tokens = TokenServer(lifetime=2, clock=-LEEWAY)

    def plan(passing: Passing) -> Fault | None:
        if passing.uploads and not any(each.uploads for each in proxy.passed[:-1]):
            time.sleep(4)
        return None

    with token_registry(tokens) as registry, FaultProxy(registry.port, plan) as proxy:
        client, blob = registries(proxy.host, auth=auth), random_blob(2_000_000)
        assert client.push_blob(blob, Reference.parse(f"{proxy.host}/a/b")) == "uploaded"
    opened = [each for each in proxy.passed if each.method == "POST" and "authorization" in each.headers]
    assert len(opened) == 1
    assert sum(each.uploads for each in proxy.passed) == 2
    assert len(tokens.asked) >= 2


def test_a_server_that_does_not_say_how_long() -> None:
    """Sixty seconds are assumed; a token that ends before is renewed when the registry refuses it."""
    tokens = TokenServer(expires_in=False)
    with token_registry(tokens) as registry:
        client, reference = registries(registry.host), Reference.parse(f"{registry.host}/a")
        for data in (b"", b"x"):
            assert not client.has_blob(reference, Digest.of(data))
        assert len(tokens.asked) == 1
    tokens = TokenServer(lifetime=2, clock=-LEEWAY, expires_in=False)
    with token_registry(tokens) as registry:
        client, reference = registries(registry.host), Reference.parse(f"{registry.host}/a")
        assert not client.has_blob(reference, Digest.of(b""))
        time.sleep(3.5)
        assert not client.has_blob(reference, Digest.of(b""))
        assert len(tokens.asked) >= 2


@pytest.mark.parametrize("clock", [-50.0, 50.0])
def test_clocks_that_differ(clock: float) -> None:
    tokens = TokenServer(clock=clock)
    with token_registry(tokens) as registry:
        client, blob = registries(registry.host), random_blob(1000)
        assert client.push_blob(blob, Reference.parse(f"{registry.host}/a")) == "uploaded"
    assert len(tokens.asked) == 1


def test_a_token_server_that_hangs_ends() -> None:
    tokens = TokenServer(hangs=True)
    with token_registry(tokens) as registry:
        client = impatient(registry.host)
        with pytest.raises(RegistryError, match=r"no token for .*did not answer in time") as caught:
            client.has_blob(Reference.parse(f"{registry.host}/a"), Digest.of(b""))
    assert caught.value.host == f"127.0.0.1:{tokens.port}"
    assert "/jwt/auth" in caught.value.request


def impatient(host: str) -> Registries:
    environment = {"DOCKER_AUTH_CONFIG": json.dumps({"auths": {host: {"username": USER, "password": PASSWORD}}})}
    policy = RegistryPolicy(backoff=Backoff(attempts=2, base=0.01), read_timeout=0.5)
    return Registries(policy, DockerKeychain(environment), Recorded(), environment)


def test_a_token_without_the_permission() -> None:
    tokens = TokenServer(allowed={USER: {"": "pull"}})
    with token_registry(tokens) as registry:
        with pytest.raises(RegistryError, match="401 Unauthorized: UNAUTHORIZED") as caught:
            registries(registry.host).check_permission(Reference.parse(f"{registry.host}/a"))
    assert caught.value.hint is not None
    assert caught.value.hint.startswith("the user needs permission to push to this repository (in GitLab the role Dev")
    assert caught.value.hint.count("permission to push") == 1
    assert len(tokens.asked) == 1  # another one would say the same


def test_a_mount_that_is_not_allowed_is_asked_for_once() -> None:
    tokens = TokenServer(allowed={USER: {"app": "pull,push"}})
    with token_registry(tokens) as registry, FaultProxy(registry.port, lambda passing: None) as proxy:
        client = registries(proxy.host)
        for _ in range(3):
            blob = random_blob(1000)
            origin = Reference.parse(f"{proxy.host}/secret/base")
            blob = Blob(descriptor=blob.descriptor, source=blob.source, origin=origin)
            assert client.push_blob(blob, Reference.parse(f"{proxy.host}/app")) == "uploaded"
    assert len({each.path for each in proxy.passed if "mount=" in each.path}) == 1
    assert ("repository:app:pull,push", "repository:secret/base:pull") in [each.scopes for each in tokens.asked]


def test_a_registry_by_https_does_not_lead_to_a_token_server_by_plain_http(tmp_path: Path) -> None:
    shown = certificate(tmp_path)
    with token_registry(TokenServer()) as registry, nginx({"/": registry.port}, shown) as host:
        environment = {"DOCKER_AUTH_CONFIG": json.dumps({"auths": {host: {"username": USER, "password": PASSWORD}}})}
        policy = RegistryPolicy(certificates={host: shown.authority}, backoff=Backoff(attempts=1))
        client = Registries(policy, DockerKeychain(environment), Recorded(), environment)
        with pytest.raises(RegistryError, match="names a token server that speaks plain HTTP"):
            client.has_blob(Reference.parse(f"{host}/a"), Digest.of(b""))


CHALLENGES: dict[str, Callable[[int], list[str]]] = {
    "one header": lambda port: [f'Basic realm="x", Bearer realm="http://127.0.0.1:{port}/t",service="s"'],
    "two headers": lambda port: ['Basic realm="x"', f'Bearer realm="http://127.0.0.1:{port}/t",service="s"'],
    "the other way round": lambda port: [f'Bearer realm="http://127.0.0.1:{port}/t",service="s"', 'Basic realm="x"'],
    "others, too": lambda port: ["Negotiate", f'bearer service="s", realm="http://127.0.0.1:{port}/t"', "NTLM"],
}


@pytest.mark.parametrize("headers", CHALLENGES.values(), ids=CHALLENGES)
def test_several_ways_to_authenticate(headers: Callable[[int], list[str]]) -> None:
    with TokenServer() as tokens, challenging(headers(tokens.port), tokens) as host:
        assert not registries(host).has_blob(Reference.parse(f"{host}/a"), Digest.of(b""))
    assert [each.scopes for each in tokens.asked] == [("repository:a:pull",)]


def test_a_scope_that_only_the_registry_knows() -> None:
    """A mirror or proxy whose tokens are for the name that it has inside."""
    with TokenServer() as tokens:
        challenge = f'Bearer realm="http://127.0.0.1:{tokens.port}/t",service="s",scope="repository:inner/a:pull"'
        with challenging([challenge], tokens, needed="inner/a") as host:
            client = registries(host)
            for data in (b"", b"x"):
                assert not client.has_blob(Reference.parse(f"{host}/a"), Digest.of(data))
    assert [each.scopes for each in tokens.asked] == [
        ("repository:a:pull",),
        ("repository:a:pull", "repository:inner/a:pull"),
    ]


@contextlib.contextmanager
def challenging(headers: list[str], tokens: TokenServer, needed: str = "") -> Iterator[str]:
    """A server that refuses with these headers whoever has no token of `tokens` for `needed`, and has nothing else."""
    import base64
    import http.server
    import threading

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_any(self) -> None:
            payload = self.headers.get("Authorization", "").removeprefix("Bearer ").split(".")
            claims = base64.urlsafe_b64decode(payload[1] + "==").decode() if len(payload) == 3 else ""
            self.send_response(404 if claims and needed in claims else 401)
            for header in headers if not (claims and needed in claims) else []:
                self.send_header("WWW-Authenticate", header)
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_GET = do_HEAD = do_any  # noqa: N815

        def log_message(self, *_: object) -> None:
            return

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def test_credentials_are_in_no_event(tmp_path: Path) -> None:
    progress, tokens = Recorded(), TokenServer()
    with token_registry(tokens) as registry:
        client = registries(registry.host, progress)
        client.push_blob(random_blob(1000), Reference.parse(f"{registry.host}/a"))
        with pytest.raises(BuilderError):
            client.manifest(Reference.parse(f"{registry.host}/a:none"))
    shown = repr(progress.events)
    assert "/jwt/auth" in shown
    assert PASSWORD not in shown
    assert not [token for token in tokens.tokens if token.rpartition(".")[2] in shown]
