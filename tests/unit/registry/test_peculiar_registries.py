"""Registries, and what stands before them, that do not go by the book."""

from __future__ import annotations

import gzip
import time
from collections.abc import Callable
from dataclasses import replace

import pytest
from stand_in import QUICK, Answer, Asked, FakeRegistry, RequestHandler, StandIn, error, fake_registry, registries
from support.http_server import QuietHandler, Server

from builder.errors import BuilderError
from builder.image.reference import Reference
from builder.progress import Silent
from builder.registry import prompt_response
from builder.registry.credentials import Credentials
from builder.registry.errors import ConnectionFailed, RegistryError
from builder.registry.policy import RegistryPolicy
from builder.registry.pull import resolve_image
from builder.registry.push import Pusher
from images import AMD64, make_image

IMAGE = make_image(b"one" * 1000, b"two" * 1000)
USER = Credentials(username="user", password="a password", source="the test")


def there_and_back(registry: FakeRegistry, credentials: Credentials | None = None) -> None:
    """Push an image, look at its tag, and pull all of it."""
    reference, client = registry.reference("a:1"), registries(credentials=credentials)
    with Pusher(client, Silent()) as pusher:
        pusher.finish(IMAGE, [reference])
    client = registries(credentials=credentials)
    assert client.digest(reference) in (None, IMAGE.digest)
    found = resolve_image(client, reference, AMD64)
    assert found.manifest_bytes == IMAGE.manifest_bytes
    for layer in found.layers:
        with layer.source.open() as stream:
            stream.read()


def test_a_401_that_does_not_say_what_is_wanted() -> None:
    """A proxy before the registry has taken the header away."""

    def guard(asked: Asked) -> Answer | None:
        return None if asked.headers.get("authorization") == USER.basic else error(401, "UNAUTHORIZED")

    with fake_registry(guard) as registry:
        there_and_back(registry, USER)
        with pytest.raises(RegistryError, match="401"):
            there_and_back(registry)


def test_a_token_that_expires_where_the_401_says_nothing() -> None:
    """What was said before holds: the password is for the token server alone."""
    tokens = iter(("first", "second"))

    def guard(asked: Asked) -> Answer | None:
        if asked.path == "/token":
            assert asked.headers["authorization"] == USER.basic
            return Answer(body=b'{"token": "%s"}' % next(tokens).encode())
        sent = asked.headers.get("authorization", "")
        assert not sent.startswith("Basic")
        if sent == "Bearer second" or (sent == "Bearer first" and asked.method == "HEAD"):
            return None
        said = {} if sent else {"WWW_Authenticate": f'Bearer realm="http://{registry.host}/token"'}
        return error(401, "UNAUTHORIZED", **said)

    with fake_registry(guard) as registry:
        client = registries(credentials=USER)
        client.has_blob(registry.reference("a"), IMAGE.layers[0].descriptor.digest)
        with pytest.raises(RegistryError, match="404"):
            client.manifest(registry.reference("a:1"))
    assert next(tokens, None) is None


@pytest.mark.parametrize("status", [403, 405, 501])
def test_blobs_that_cannot_be_asked_for(status: int) -> None:
    """Some users may only write, and some registries know no HEAD."""

    def refuse(asked: Asked) -> Answer | None:
        return Answer(status=status) if asked.method == "HEAD" and "/blobs/" in asked.path else None

    with fake_registry(refuse) as registry:
        there_and_back(registry)
        with pytest.raises(RegistryError, match=str(status)):
            registries().has_blob(registry.reference("a"), IMAGE.layers[0].descriptor.digest)


@pytest.mark.parametrize("status", [405, 501])
def test_tags_that_cannot_be_asked_for(status: int) -> None:
    def refuse(asked: Asked) -> Answer | None:
        return Answer(status=status) if asked.method == "HEAD" and "/manifests/" in asked.path else None

    with fake_registry(refuse) as registry:
        there_and_back(registry)


class Changing(FakeRegistry):
    """A registry before which a proxy changes the answers about manifests."""

    def __init__(self, change: Callable[[Answer], Answer]) -> None:
        super().__init__()
        self.change = change

    def answer(self, asked: Asked) -> Answer:
        answer = super().answer(asked)
        return self.change(answer) if "/manifests/" in asked.path and asked.method == "GET" else answer


def compressed(answer: Answer) -> Answer:
    headers = {**answer.headers, "Content-Encoding": "gzip"}
    return replace(answer, headers=headers, body=gzip.compress(answer.body))


def test_manifests_that_are_compressed_on_the_way() -> None:
    with Changing(compressed) as registry:
        there_and_back(registry)


def test_a_compressed_manifest_is_bounded() -> None:
    def bomb(answer: Answer) -> Answer:
        return compressed(replace(answer, body=bytes(64 << 20)))

    with Changing(bomb) as registry, pytest.raises(BuilderError, match="larger than 4194304 bytes"):
        there_and_back(registry)


def test_what_is_not_compressed_at_all() -> None:
    with Changing(lambda answer: replace(answer, headers={**answer.headers, "Content-Encoding": "gzip"})) as registry:
        there_and_back(registry)


@pytest.mark.parametrize(
    "content_type",
    ["application/json; charset=utf-8", "APPLICATION/JSON", "binary/octet-stream", "text/html", ""],
)
def test_manifests_of_another_content_type(content_type: str) -> None:
    with Changing(lambda answer: replace(answer, headers={"Content-Type": content_type})) as registry:
        there_and_back(registry)


@pytest.mark.parametrize("status", [200, 201])
def test_a_token_server_that_has_made_a_token(status: int) -> None:
    def guard(asked: Asked) -> Answer | None:
        if asked.headers.get("authorization") == "Bearer good":
            return None
        return error(401, "UNAUTHORIZED", WWW_Authenticate=f'Bearer realm="http://{tokens.host}/"')

    body = b'{"access_token": "good", "token": "good", "expires_in": "300"}'
    with StandIn(lambda _: Answer(status=status, body=body)) as tokens, fake_registry(guard) as registry:
        there_and_back(registry)


@pytest.mark.parametrize("form", ["chunked", "until closed"])
def test_bodies_of_unknown_length(form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def send(self: RequestHandler, answer: Answer) -> None:
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        body = answer.body if self.command != "HEAD" else b""
        if form == "chunked":
            self.send_header("Transfer-Encoding", "chunked")
            body = b"".join(b"1\r\n%c\r\n" % byte for byte in body) + b"0\r\n\r\n" if self.command != "HEAD" else b""
        else:
            self.send_header("Connection", "close")
            self.close_connection = True
        self.end_headers()
        self.wfile.write(body)

    monkeypatch.setattr(RequestHandler, "_send", send)
    with fake_registry() as registry:
        there_and_back(registry)


class Dripping(QuietHandler):
    """Sends the headers byte by byte."""

    def do_GET(self) -> None:  # noqa: N802
        try:
            for byte in b"HTTP/1.1 200 OK\r\nX-Filler: %s\r\nContent-Length: 0\r\n\r\n" % (b"a" * 60_000):
                self.wfile.write(bytes([byte]))
                time.sleep(0.01)
        except OSError:
            return


def test_headers_that_come_drop_by_drop_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prompt_response, "LONGEST", 0.2)
    server = Server(None, Dripping)
    server.start()
    try:
        with pytest.raises(ConnectionFailed, match="did not answer in time"):
            registries(RegistryPolicy(backoff=QUICK)).manifest(Reference.parse(f"127.0.0.1:{server.port}/a:1"))
    finally:
        server.stop()
