"""Every way in which a registry says no is one clear message."""

from __future__ import annotations

import socket
import threading
import time

import pytest
from stand_in import (
    QUICK,
    RESET,
    Answer,
    Asked,
    FixedKeychain,
    RequestHandler,
    StandIn,
    error,
    fake_registry,
    registries,
)

from builder.image.reference import Reference
from builder.progress import Recorded
from builder.registry.client import Registries
from builder.registry.credentials import Credentials
from builder.registry.errors import ConnectionFailed, RegistryError
from builder.registry.policy import Backoff, RegistryPolicy

CASES = [
    (
        error(401, "UNAUTHORIZED", "authentication required"),
        "401 Unauthorized: UNAUTHORIZED: authentication required",
        "test's keychain",
    ),
    (error(403, "DENIED", "requested access is denied"), "403 Forbidden: DENIED", "permission to pull from"),
    (
        Answer(status=403, body=b"<html>no", headers={"Content-Type": "text/html"}),
        "403 Forbidden\n",
        "a proxy's answer",
    ),
    (
        Answer(status=503, body=b"<html><TITLE>Access &amp; more</title>no", headers={"Content-Type": "text/html"}),
        "503 Service Unavailable: Access & more",
        "in trouble",
    ),
    (Answer(status=413, body=b"<html><title>413 Too Large</title>"), "413 Request Entity Too Large\n", "client_max"),
    (error(404, "MANIFEST_UNKNOWN", "manifest unknown"), "404 Not Found: MANIFEST_UNKNOWN", "the image does not exist"),
    (Answer(status=407), "407 Proxy Authentication Required", "https_proxy"),
    (Answer(status=413, body=b"too much"), "too much", "client_max_body_size"),
    (
        error(429, "TOOMANYREQUESTS", "slow down", Retry_After="3600"),
        "TOOMANYREQUESTS: slow down",
        "try again in 3600 s",
    ),
    (Answer(status=500, body=b'{"message": "on fire"}'), "500 Internal Server Error: on fire", "in trouble"),
    (Answer(status=503, body=b"\x00\xff\x1b[31m"), "503 Service Unavailable", "in trouble"),
    (Answer(status=507), "507 Insufficient Storage", "no space left"),
    (Answer(status=418, body=b"{"), "418 I'm a Teapot: {", None),
    (Answer(status=599), "answered 599", "in trouble"),
    (Answer(status=400, body=b"Client sent an HTTP request to an HTTPS server.\n"), "400 Bad Request", "wants HTTPS"),
    (
        Answer(status=404, body=b'{"errors": [{"code": "NAME_UNKNOWN", "detail": {"a": 1}}, 7]}'),
        "NAME_UNKNOWN",
        "not exist",
    ),
    (Answer(status=404, body=b'{"errors": "x", "error": ["y"]}'), "404 Not Found", "not exist"),
]


@pytest.mark.parametrize(("answer", "message", "hint"), CASES)
def test_refused_pull(answer: Answer, message: str, hint: str | None) -> None:
    with fake_registry(lambda asked: answer) as registry:
        with pytest.raises(RegistryError) as caught:
            registries().manifest(registry.reference("a/b:1"))
    text = str(caught.value)
    assert text.startswith(f"cannot pull {registry.host}/a/b:1: {registry.host} answered ")
    assert message in text
    assert hint in (caught.value.hint or "") if hint else caught.value.hint is None
    assert caught.value.status == answer.status
    assert caught.value.host == registry.host
    assert "\x1b" not in text


def test_codes_are_kept() -> None:
    with fake_registry(lambda asked: error(404, "MANIFEST_UNKNOWN")) as registry:
        with pytest.raises(RegistryError) as caught:
            registries().manifest(registry.reference("a:1"))
    assert caught.value.codes == ("MANIFEST_UNKNOWN",)
    assert caught.value.request == f"GET http://{registry.host}/v2/a/manifests/1"


def test_a_long_body_is_cut() -> None:
    with fake_registry(lambda asked: Answer(status=400, body=b"x" * 5_000_000)) as registry:
        with pytest.raises(RegistryError) as caught:
            registries().manifest(registry.reference("a:1"))
    assert len(str(caught.value)) < 1000


def test_a_refused_push_says_so() -> None:
    with fake_registry(lambda asked: error(403, "DENIED")) as registry:
        with pytest.raises(RegistryError, match=r"(?s)cannot push to .*permission to push to") as caught:
            registries().check_permission(registry.reference("a:1"))
    assert caught.value.status == 403


def test_connection_refused(unused_host: str) -> None:
    with pytest.raises(ConnectionFailed, match=f"cannot connect to {unused_host}: connection refused") as caught:
        registries().manifest(Reference.parse(f"{unused_host}/a"))
    assert caught.value.kind == "refused"


@pytest.fixture
def unused_host() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"


def test_a_host_that_does_not_exist() -> None:
    with pytest.raises(ConnectionFailed, match=r"cannot find the host no-such-host\.invalid") as caught:
        registries().manifest(Reference.parse("no-such-host.invalid/a"))
    assert caught.value.kind == "dns"


def test_plain_http_where_https_was_expected(monkeypatch: pytest.MonkeyPatch) -> None:
    real = socket.getaddrinfo
    monkeypatch.setattr(socket, "getaddrinfo", lambda name, *rest, **options: real("127.0.0.1", *rest, **options))
    with fake_registry() as registry:
        host = f"registry.example:{registry.port}"
        with pytest.raises(ConnectionFailed, match="plain HTTP where HTTPS was expected") as caught:
            registries().manifest(Reference.parse(f"{host}/a"))
        policy = RegistryPolicy(insecure=frozenset({host}), backoff=QUICK)
        with pytest.raises(RegistryError, match="404"):
            registries(policy).manifest(Reference.parse(f"{host}/a"))
    assert caught.value.hint == f"add --insecure-registry {host}"


def test_an_answer_that_does_not_come() -> None:
    def hang(asked: Asked) -> Answer:
        time.sleep(0.5)
        return RESET

    policy = RegistryPolicy(backoff=Backoff(attempts=1), read_timeout=0.1)
    with fake_registry(hang) as registry, pytest.raises(ConnectionFailed, match="did not answer in time") as caught:
        registries(policy).manifest(registry.reference("a:1"))
    assert caught.value.kind == "timeout"


def test_no_http_at_all() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection:
                    connection.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")

        threading.Thread(target=serve, daemon=True).start()
        host = f"127.0.0.1:{server.getsockname()[1]}"
        with pytest.raises(ConnectionFailed):
            registries().manifest(Reference.parse(f"{host}/a"))
        server.shutdown(socket.SHUT_RDWR)


def test_a_proxy_that_is_not_there(unused_host: str) -> None:
    client = registries(environment={"https_proxy": f"http://user:pass-word@{unused_host}"})
    with pytest.raises(ConnectionFailed, match=f"the proxy {unused_host} does not connect to r.example") as caught:
        client.manifest(Reference.parse("r.example/a"))
    assert caught.value.kind == "proxy"
    assert "pass-word" not in str(caught.value)


@pytest.mark.parametrize(("status", "text"), [(407, "it wants a user and password"), (403, "it forbids this host")])
def test_a_proxy_that_refuses(monkeypatch: pytest.MonkeyPatch, status: int, text: str) -> None:
    with StandIn() as proxy:
        monkeypatch.setattr(RequestHandler, "do_CONNECT", lambda self: self.send_error(status), raising=False)
        client = registries(environment={"https_proxy": f"http://{proxy.host}"})
        with pytest.raises(ConnectionFailed, match=f"it answered {status}") as caught:
            client.manifest(Reference.parse("r.example/a"))
    assert text in caught.value.message


class Known(FixedKeychain):
    def describe(self, reference: Reference, /) -> str:
        return "the credentials in a file were used"


@pytest.mark.parametrize(
    ("challenge", "hint"),
    [
        ('Basic realm="x"', "the credentials in a file were used, and were refused"),
        ('Bearer realm="REALM",error="invalid_token"', "the credentials in a file were used, and were refused"),
        ('Bearer realm="REALM",error="insufficient_scope"', "the user needs permission to push to this repository"),
    ],
)
def test_credentials_that_are_good_but_not_for_this(challenge: str, hint: str) -> None:
    """With tokens, a user who may not push gets one, and with it 401."""

    def answer(asked: Asked) -> Answer:
        if asked.path == "/token":
            return Answer(body=b'{"token": "for nothing much"}')
        return error(401, "UNAUTHORIZED", WWW_Authenticate=challenge.replace("REALM", f"http://{registry.host}/token"))

    with StandIn(answer) as registry:
        keychain = Known(Credentials(username="u", password="a password"))
        client = Registries(RegistryPolicy(backoff=QUICK), keychain, Recorded(), {})
        with pytest.raises(RegistryError, match="401 Unauthorized") as caught:
            client.check_permission(registry.reference("a:1"))
    assert hint in (caught.value.hint or "")


def test_a_token_for_nobody_is_not_enough() -> None:
    def answer(asked: Asked) -> Answer:
        if asked.path == "/token":
            return Answer(body=b'{"token": "for nobody"}')
        realm = f'Bearer realm="http://{registry.host}/token",error="insufficient_scope"'
        return error(401, "UNAUTHORIZED", WWW_Authenticate=realm)

    with StandIn(answer) as registry, pytest.raises(RegistryError, match="401 Unauthorized") as caught:
        registries().check_permission(registry.reference("a:1"))
    assert caught.value.hint == "without a login it may not be done: the test's keychain was asked"


CERTIFICATE_PAGE = (
    b"<html><center><h1>400 Bad Request</h1></center><center>No required SSL certificate was sent</center>"
)


@pytest.mark.parametrize(
    ("answer", "who", "hint"),
    [
        (Answer(status=403, body=b"<html>", headers={"Content-Type": "text/html"}), "or the proxy", "of the proxy 127"),
        (Answer(status=401), "or the proxy", "may have refused the user and password in http_proxy"),
        (Answer(status=407), "the proxy 127", "user:password@ before its host"),
        (error(403, "DENIED"), "r.example answered", "the user needs permission to pull from"),
        (
            Answer(status=403, headers={"Docker-Distribution-Api-Version": "registry/2.0"}),
            "r.example answered",
            "the user needs permission to pull from",
        ),
        (Answer(status=400, body=CERTIFICATE_PAGE), "or the proxy", "--registry-client-cert r.example=CERT,KEY"),
    ],
)
def test_who_has_answered_through_a_proxy(answer: Answer, who: str, hint: str) -> None:
    """A proxy answers in the place of a host that is spoken to in plain HTTP."""
    caught = refused_through(StandIn(lambda asked: Answer() if asked.path.endswith("/v2/") else answer))
    assert who in caught.message
    assert hint in (caught.hint or "")


def test_a_connection_that_a_proxy_has_closed_is_made_again() -> None:
    """Some proxies close what was to be kept open, and the HTTP library then blames the proxy."""
    answers = [error(404, "MANIFEST_UNKNOWN"), RESET]
    caught = refused_through(StandIn(lambda asked: Answer() if asked.path.endswith("/v2/") else answers.pop()))
    assert caught.codes == ("MANIFEST_UNKNOWN",)


def refused_through(stand_in: StandIn) -> RegistryError:
    """The error for a pull in plain HTTP through a proxy; it is asked for whole URLs."""
    with stand_in as proxy:
        policy = RegistryPolicy(insecure=frozenset({"r.example"}), backoff=QUICK)
        client = registries(policy, environment={"http_proxy": f"http://{proxy.host}"})
        with pytest.raises(RegistryError) as caught:
            client.manifest(Reference.parse("r.example/a:1"))
    return caught.value
