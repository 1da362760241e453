"""Basic and bearer authentication, as a registry with a token server of its own wants it."""

from __future__ import annotations

import base64
import json
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import parse_qs

import pytest
from stand_in import Answer, Asked, FakeRegistry, StandIn, error, fake_registry, registries

from builder.digest import Digest
from builder.image.descriptor import Descriptor
from builder.progress import Recorded
from builder.registry.credentials import Credentials
from builder.registry.errors import RegistryError
from builder.storage.blob import Blob, MemoryBlob

USER = Credentials(username="user", password="pass word", source="test")
BASIC = "Basic " + base64.b64encode(b"user:pass word").decode()


class TokenServer(StandIn):
    """Gives numbered tokens, which are good until `revoke`; refuses who is not `user`."""

    def __init__(self, *, anonymous: bool = True, expires_in: float | None = 300, fail: Answer | None = None) -> None:
        super().__init__()
        self.good: dict[str, tuple[str, ...]] = {}
        self._anonymous, self._expires_in, self._fail = anonymous, expires_in, fail

    def __enter__(self) -> TokenServer:
        super().__enter__()
        return self

    def revoke(self) -> None:
        self.good.clear()

    def answer(self, asked: Asked) -> Answer:
        if self._fail:
            return self._fail
        form = parse_qs(asked.body.decode())
        known = asked.headers.get("authorization") == BASIC or form.get("refresh_token") == ["identity"]
        if not known and not self._anonymous:
            return error(401, "UNAUTHORIZED", "who is this?")
        token = f"token-{len(self.asked)}"
        self.good[token] = asked.scopes or tuple(form["scope"][0].split())
        document = {"token" if asked.method == "GET" else "access_token": token}
        if self._expires_in:
            document["expires_in"] = self._expires_in  # type: ignore[assignment]
        return Answer(body=json.dumps(document).encode())

    def guard(self, asked: Asked) -> Answer | None:
        """A registry's `before`: lets through whose token is good for the request."""
        if asked.headers.get("authorization", "").removeprefix("Bearer ") in self.good:
            return None
        challenge = f'Bearer realm="http://{self.host}/token?kept=1",service="the service",scope="repository:x:pull"'
        return error(401, "UNAUTHORIZED", "token please", WWW_Authenticate=challenge)


def test_basic() -> None:
    def guard(asked: Asked) -> Answer | None:
        if asked.headers.get("authorization") == BASIC:
            return None
        return error(401, "UNAUTHORIZED", WWW_Authenticate='Basic realm="r"')

    with fake_registry(guard) as registry:
        registry.add_manifest("a", "1", "", {})
        client = registries(credentials=USER)
        client.manifest(registry.reference("a:1"))
        client.has_blob(registry.reference("a"), Digest.of(b""))
        assert len(registry.asked) == 3  # asked for once, remembered then
        with pytest.raises(RegistryError, match="401"):
            registries().manifest(registry.reference("a:1"))


def test_wrong_password_is_tried_once() -> None:
    with fake_registry(lambda asked: error(401, "UNAUTHORIZED", WWW_Authenticate="Basic")) as registry:
        with pytest.raises(RegistryError, match="401"):
            registries(credentials=USER).manifest(registry.reference("a:1"))
    assert len(registry.asked) == 2


def test_a_token_is_asked_for_once_and_used_again() -> None:
    with TokenServer() as tokens, FakeRegistry(tokens.guard) as registry:
        digest = registry.add_manifest("a/b", "1", "", {})
        client = registries(credentials=USER)
        client.manifest(registry.reference("a/b:1"))
        client.manifest(registry.reference(f"a/b@{digest}"))
    (asked,) = tokens.asked
    assert asked.headers["authorization"] == BASIC
    assert asked.query == {
        "kept": "1",
        "service": "the service",
        "scope": "repository:a/b:pull",
        "account": "user",
        "client_id": "builder",
    }


def test_anonymous_tokens() -> None:
    with TokenServer() as tokens, FakeRegistry(tokens.guard) as registry:
        registry.add_manifest("a", "1", "", {})
        registries().manifest(registry.reference("a:1"))
    assert "authorization" not in tokens.asked[0].headers
    assert "account" not in tokens.asked[0].query


def test_an_identity_token_is_exchanged() -> None:
    with TokenServer(anonymous=False) as tokens, FakeRegistry(tokens.guard) as registry:
        registry.add_manifest("a", "1", "", {})
        registries(credentials=Credentials(identity_token="identity")).manifest(registry.reference("a:1"))
    (asked,) = tokens.asked
    form = parse_qs(asked.body.decode())
    assert asked.method == "POST"
    assert form["grant_type"] == ["refresh_token"]
    assert (form["service"], form["scope"]) == (["the service"], ["repository:a:pull"])


def test_a_registry_token_goes_as_it_is() -> None:
    def guard(asked: Asked) -> Answer | None:
        return (
            None
            if asked.headers.get("authorization") == "Bearer mine"
            else error(401, "X", WWW_Authenticate="Bearer realm=x")
        )

    with fake_registry(guard) as registry:
        registry.add_manifest("a", "1", "", {})
        registries(credentials=Credentials(registry_token="mine")).manifest(registry.reference("a:1"))


def test_pushing_asks_for_both_actions_and_mounting_for_both_repositories() -> None:
    with TokenServer() as tokens, FakeRegistry(tokens.guard) as registry:
        digest = registry.add_blob("base", b"layer")
        descriptor = Descriptor(media_type="x", digest=digest, size=5)
        blob = Blob(descriptor=descriptor, source=MemoryBlob(b"layer"), origin=registry.reference("base"))
        assert registries(credentials=USER).push_blob(blob, registry.reference("app")) == "mounted"
    assert [asked.scopes for asked in tokens.asked] == [
        ("repository:app:pull,push",),
        ("repository:app:pull,push", "repository:base:pull"),
    ]


def test_a_token_that_is_revoked_in_the_middle_is_renewed() -> None:
    with TokenServer() as tokens, FakeRegistry(tokens.guard) as registry:
        registry.add_manifest("a", "1", "", {})
        client = registries(credentials=USER)
        client.manifest(registry.reference("a:1"))
        tokens.revoke()
        client.has_blob(registry.reference("a"), Digest.of(b""))
    assert len(tokens.asked) == 2


def test_an_upload_goes_on_with_a_new_token() -> None:
    """The token is revoked between the upload's POST and its PUT; no second POST is made."""
    with TokenServer() as tokens:

        def guard(asked: Asked) -> Answer | None:
            if asked.method == "PUT" and len(tokens.asked) == 1:
                tokens.revoke()
            return tokens.guard(asked)

        with FakeRegistry(guard) as registry:
            blob = Blob(descriptor=Descriptor.of("x", b"layer"), source=MemoryBlob(b"layer"))
            assert registries(credentials=USER).push_blob(blob, registry.reference("app")) == "uploaded"
    accepted = [str(asked) for asked in registry.asked if asked.method == "POST" and "authorization" in asked.headers]
    assert accepted == ["POST /v2/app/blobs/uploads/"]
    assert len(tokens.asked) == 2


def test_a_token_that_has_expired_is_not_sent() -> None:
    with TokenServer(expires_in=0.0001) as tokens, FakeRegistry(tokens.guard) as registry:
        client = registries(credentials=USER)
        for _ in range(3):
            client.has_blob(registry.reference("a"), Digest.of(b""))
    assert len(tokens.asked) == 3
    assert len(registry.asked) == 4  # the first 401, then none


def test_many_threads_share_one_token() -> None:
    with TokenServer() as tokens, FakeRegistry(tokens.guard) as registry:
        client = registries(credentials=USER)
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda _: client.has_blob(registry.reference("a"), Digest.of(b"")), range(16)))
    assert len(tokens.asked) == 1


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (error(401, "UNAUTHORIZED", "who is this?"), "cannot get a token for .*who is this"),
        (Answer(status=403, body=b'{"details": "no such user"}'), "no such user"),
        (Answer(body=b"{}"), "answered without a token"),
        (Answer(body=b"["), "answered without a token"),
        (Answer(body=b'{"token": "a\\nb"}'), "answered without a token"),
        (Answer(body=b'{"token": 7}'), "answered without a token"),
        (Answer(body=b" " * 300_000), "more than 262144 bytes"),
        (Answer(status=503), "503 Service Unavailable"),
    ],
)
def test_token_servers_that_do_not_help(answer: Answer, message: str) -> None:
    with TokenServer(fail=answer) as tokens, FakeRegistry(tokens.guard) as registry:
        with pytest.raises(RegistryError, match=message) as caught:
            registries(credentials=USER).manifest(registry.reference("a:1"))
    assert "pass word" not in str(caught.value)
    assert len(tokens.asked) <= 3


@pytest.mark.parametrize(
    ("realm", "message"),
    [
        ("http://tokens.example/token", "speaks plain HTTP: http://tokens.example/token"),
        ("ftp://tokens.example/token", "no URL"),
        ("/token", "no URL"),
        ("", "no URL"),
        ("https://[", "no URL"),
    ],
)
def test_realms_that_get_no_credentials(realm: str, message: str) -> None:
    refusal = error(401, "UNAUTHORIZED", WWW_Authenticate=f'Bearer realm="{realm}"')
    with fake_registry(lambda asked: refusal) as registry, pytest.raises(RegistryError, match=message):
        registries(credentials=USER).manifest(registry.reference("a:1"))


def test_secrets_are_in_no_event_and_no_error() -> None:
    progress = Recorded()

    def tell(asked: Asked) -> Answer | None:
        refused = tokens.guard(asked)
        return refused or error(403, "DENIED", f"you sent {asked.headers['authorization']} for user pass word")

    with TokenServer() as tokens, FakeRegistry(tell) as registry:
        with pytest.raises(RegistryError, match="you sent") as caught:
            registries(credentials=USER, progress=progress).manifest(registry.reference("a:1"))
    shown = f"{progress.events} {caught.value} {caught.value!r} {caught.value.__dict__}"
    assert "GET" in shown  # the requests themselves are there
    for secret in ("pass word", "token-1", BASIC.removeprefix("Basic "), "scope="):
        assert secret not in shown
