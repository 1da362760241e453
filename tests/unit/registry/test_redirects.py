from __future__ import annotations

import pytest
from stand_in import Answer, Asked, FakeRegistry, StandIn, error, fake_registry, registries

from builder.image.descriptor import Descriptor
from builder.registry.credentials import Credentials
from builder.registry.errors import RegistryError
from builder.registry.exchange import Request, Response
from builder.registry.redirects import FollowingRedirects

USER = Credentials(username="user", password="secret")
DATA = b"content"


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_blob_from_another_host_is_fetched_without_credentials(status: int) -> None:
    with StandIn(lambda asked: Answer(body=DATA)) as storage:

        def before(asked: Asked) -> Answer | None:
            if "authorization" not in asked.headers:
                return error(401, "UNAUTHORIZED", WWW_Authenticate="Basic")
            return Answer(
                status=status, headers={"Location": f"http://{storage.host}/x%7Ey?Signature=a%2Bb"}, body=b"moved"
            )

        with FakeRegistry(before) as registry:
            client = registries(credentials=USER)
            with client.open_blob(registry.reference("a"), Descriptor.of("", DATA)) as stream:
                assert stream.read() == DATA
    (asked,) = storage.asked
    assert "authorization" not in asked.headers
    assert asked.path == "/x%7Ey"
    assert asked.query == {"Signature": "a+b"}


def test_within_the_registry_credentials_stay() -> None:
    def before(asked: Asked) -> Answer | None:
        if "authorization" not in asked.headers:
            return error(401, "UNAUTHORIZED", WWW_Authenticate="Basic")
        return (
            Answer(body=DATA) if asked.path == "/elsewhere" else Answer(status=307, headers={"Location": "/elsewhere"})
        )

    with fake_registry(before) as registry:
        client = registries(credentials=USER)
        with client.open_blob(registry.reference("a"), Descriptor.of("", DATA)) as stream:
            assert stream.read() == DATA


def test_a_401_of_another_host_gets_no_credentials() -> None:
    with StandIn(lambda asked: error(401, "X", WWW_Authenticate="Basic")) as storage:
        location = {"Location": f"http://{storage.host}/x"}
        with FakeRegistry(lambda asked: Answer(status=307, headers=location)) as registry:
            with pytest.raises(RegistryError, match=f"{storage.host} answered 401"):
                with registries(credentials=USER).open_blob(registry.reference("a"), Descriptor.of("", DATA)):
                    pass
    assert all("authorization" not in asked.headers for asked in storage.asked)


def test_circles_end() -> None:
    with fake_registry(lambda asked: Answer(status=302, headers={"Location": asked.path})) as registry:
        with pytest.raises(RegistryError, match="redirects more than 10 times"):
            registries().manifest(registry.reference("a:1"))
    assert len(registry.asked) == 10


@pytest.mark.parametrize("location", ["ftp://host/x", "file:///etc/passwd", "http://[", "https:///x"])
def test_redirects_that_lead_nowhere(location: str) -> None:
    with fake_registry(lambda asked: Answer(status=302, headers={"Location": location})) as registry:
        with pytest.raises(RegistryError, match="redirects to a URL"):
            registries().manifest(registry.reference("a:1"))


class Script:
    """A Transport that redirects once."""

    def __init__(self, location: str, status: int = 302) -> None:
        self.location, self.status, self.sent = location, status, list[Request]()

    def send(self, request: Request, /) -> Response:
        self.sent.append(request)
        status, headers = (200, {}) if len(self.sent) == 2 else (self.status, {"location": self.location})
        return Response(request, status, headers, self)

    def read(self, size: int, /) -> bytes:
        return b""

    def close(self) -> None:
        return


def test_https_does_not_lead_to_plain_http() -> None:
    request = Request(method="GET", url="https://r.example/x")
    with pytest.raises(RegistryError, match="from HTTPS to plain HTTP"):
        FollowingRedirects(Script("http://s.example/y?secret"), lambda host: False).send(request)
    assert (
        FollowingRedirects(Script("http://s.example/y"), lambda host: host == "s.example").send(request).status == 200
    )


@pytest.mark.parametrize(
    ("location", "kept"),
    [
        ("https://r.example/y", True),
        ("https://r.example:443/y", True),
        ("https://r.example:444/y", False),
        ("https://s.example/y", False),
        ("https://r.example.evil.example/y", False),
    ],
)
def test_what_is_the_same_host(location: str, kept: bool) -> None:
    script = Script(location)
    request = Request(method="GET", url="https://r.example/x", headers={"AUTHORIZATION": "secret", "Accept": "x"})
    FollowingRedirects(script, lambda host: False).send(request)
    assert ("AUTHORIZATION" in script.sent[1].headers) is kept
    assert "Accept" in script.sent[1].headers


@pytest.mark.parametrize(("location", "followed"), [("https://r.example/y", True), ("https://s.example/y", False)])
def test_writing_is_redirected_within_the_host_alone(location: str, followed: bool) -> None:
    script = Script(location, 307)
    request = Request(method="PUT", url="https://r.example/x", headers={"Authorization": "secret"})
    response = FollowingRedirects(script, lambda host: False).send(request)
    assert (response.status, len(script.sent)) == ((200, 2) if followed else (307, 1))
    assert script.sent[-1].method == "PUT"


def test_only_reading_is_redirected() -> None:
    script = Script("https://r.example/y")
    request = Request(method="PUT", url="https://r.example/x")
    assert FollowingRedirects(script, lambda host: False).send(request).status == 302
