from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from stand_in import (
    QUICK,
    RESET,
    Answer,
    Asked,
    FakeRegistry,
    RequestHandler,
    StandIn,
    error,
    fake_registry,
    registries,
)

from builder.digest import Digest, Readable
from builder.errors import DigestMismatch, StorageError
from builder.image.descriptor import Descriptor
from builder.image.reference import Reference
from builder.progress import Recorded, Transfer
from builder.registry.credentials import Credentials
from builder.registry.errors import RegistryError
from builder.registry.policy import RegistryPolicy
from builder.storage.blob import Blob, FileBlob, MemoryBlob

DATA = bytes(range(256)) * 8000


def blob(data: bytes = DATA, origin: Reference | None = None) -> Blob:
    return Blob(descriptor=Descriptor.of("", data), source=MemoryBlob(data), origin=origin)


def test_uploaded_and_then_known() -> None:
    progress = Recorded()
    with fake_registry() as registry:
        client = registries(progress=progress)
        assert client.push_blob(blob(), registry.reference("a")) == "uploaded"
        assert client.push_blob(blob(), registry.reference("a")) == "exists"
    assert registry.blobs["a", str(Digest.of(DATA))] == DATA
    assert [asked.method for asked in registry.asked] == ["HEAD", "POST", "PUT", "HEAD"]
    put = registry.asked[2]
    assert put.headers["content-length"] == str(len(DATA))
    assert "transfer-encoding" not in put.headers
    transfers = [event for event in progress.events if isinstance(event, Transfer)]
    assert [(each.done, each.note) for each in transfers] == [(0, ""), (len(DATA), ""), (0, ""), (len(DATA), "exists")]


def test_an_empty_blob() -> None:
    with fake_registry() as registry:
        assert registries().push_blob(blob(b""), registry.reference("a")) == "uploaded"
    assert registry.asked[-1].headers["content-length"] == "0"


@pytest.mark.parametrize(
    ("location", "query"),
    [
        ("/v2/{repository}/blobs/uploads/1?_state=a%2Bb%3D", {"_state": "a+b="}),
        ("/v2/{repository}/blobs/uploads/1", {}),
        ("uploads/1?x=1", {"x": "1"}),
        ("http://{host}/v2/{{repository}}/blobs/uploads/1?x=1&y=2", {"x": "1", "y": "2"}),
    ],
)
def test_locations(location: str, query: dict[str, str]) -> None:
    with fake_registry() as registry:
        registry.locations = location.format(host=registry.host) if "{host}" in location else location
        assert registries().push_blob(blob(), registry.reference("a/b")) == "uploaded"
    assert registry.asked[-1].query == {**query, "digest": str(Digest.of(DATA))}


def test_a_location_on_another_host_gets_no_credentials() -> None:
    def guard(asked: Asked) -> Answer | None:
        return None if "authorization" in asked.headers else error(401, "UNAUTHORIZED", WWW_Authenticate="Basic")

    with StandIn(lambda asked: Answer(status=201)) as storage, FakeRegistry(guard) as registry:
        registry.locations = f"http://{storage.host}/bucket/x?Signature=s"
        credentials = Credentials(username="user", password="secret")
        assert registries(credentials=credentials).push_blob(blob(), registry.reference("a")) == "uploaded"
    (asked,) = storage.asked
    assert "authorization" not in asked.headers
    assert asked.body == DATA
    assert asked.query["Signature"] == "s"


@pytest.mark.parametrize("location", ["", "ftp://host/x", "http://["])
def test_locations_that_lead_nowhere(location: str) -> None:
    with fake_registry() as registry:
        registry.locations = location
        with pytest.raises(RegistryError, match="Location"):
            registries().push_blob(blob(), registry.reference("a"))


@pytest.mark.parametrize(
    ("fault", "asks"),
    [(RESET, True), (Answer(status=500), True), (Answer(status=429), True), (error(404, "BLOB_UPLOAD_UNKNOWN"), False)],
)
def test_a_broken_upload_begins_again_where_nothing_is_kept(fault: Answer, asks: bool) -> None:
    faults = [fault, fault]

    def before(asked: Asked) -> Answer | None:
        return faults.pop() if faults and asked.method == "PUT" else None

    with fake_registry(before) as registry:
        assert registries().push_blob(blob(), registry.reference("a")) == "uploaded"
    broken = ["HEAD", "POST", "PUT", "GET"] if asks else ["HEAD", "POST", "PUT"]
    assert [asked.method for asked in registry.asked] == broken * 2 + ["HEAD", "POST", "PUT"]


def test_an_upload_that_was_complete_after_all() -> None:
    def store_and_break(asked: Asked) -> Answer | None:
        if asked.method != "PUT":
            return None
        registry.blobs["a", str(Digest.of(DATA))] = DATA
        return RESET

    with fake_registry(store_and_break) as registry:
        assert registries().push_blob(blob(), registry.reference("a")) == "exists"


@pytest.mark.parametrize(("fault", "puts"), [(RESET, 3), (Answer(status=503), 3), (error(413, "SIZE_INVALID"), 1)])
def test_tries_are_bounded(fault: Answer, puts: int) -> None:
    with fake_registry(lambda asked: fault if asked.method == "PUT" else None) as registry:
        with pytest.raises(RegistryError):
            registries().push_blob(blob(), registry.reference("a"))
    assert sum(asked.method == "PUT" for asked in registry.asked) == puts


def test_a_refusal_while_the_body_is_still_being_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    """The server answers at once and closes; depending on the timing the answer is seen, or a broken connection."""

    def refuse_early(handler: Any) -> None:
        handler.send_response(403)
        handler.send_header("Content-Length", "0")
        handler.end_headers()
        handler.wfile.flush()
        handler.rfile.read(1000)
        handler.close_connection = True

    monkeypatch.setattr(RequestHandler, "do_PUT", refuse_early)
    with fake_registry() as registry, pytest.raises(RegistryError, match=r"403|broke off"):
        registries().push_blob(blob(bytes(30_000_000)), registry.reference("a"))
    assert registry.blobs == {}


def test_mounted_from_the_same_registry() -> None:
    progress = Recorded()
    with fake_registry() as registry:
        registry.add_blob("base/x", DATA)
        pushed = blob(origin=registry.reference("base/x"))
        assert registries(progress=progress).push_blob(pushed, registry.reference("app")) == "mounted"
    assert registry.asked[-1].query == {"mount": str(Digest.of(DATA)), "from": "base/x"}
    assert f"mounted from {registry.host}/base/x" in [e.note for e in progress.events if isinstance(e, Transfer)]


@pytest.mark.parametrize(
    "refusal", [None, Answer(status=400), error(401, "UNAUTHORIZED"), error(403, "DENIED"), Answer(status=405)]
)
def test_a_mount_that_is_not_granted_becomes_an_upload(refusal: Answer | None) -> None:
    def before(asked: Asked) -> Answer | None:
        return refusal if "mount" in asked.query else None

    with fake_registry(before) as registry:
        pushed = blob(origin=registry.reference("base"))
        assert registries().push_blob(pushed, registry.reference("app")) == "uploaded"


@pytest.mark.parametrize("origin", ["other.example/base", "{host}/app"])
def test_nothing_to_mount_from(origin: str) -> None:
    with fake_registry() as registry:
        pushed = blob(origin=Reference.parse(origin.format(host=registry.host)))
        assert registries().push_blob(pushed, registry.reference("app")) == "uploaded"
    assert not any("mount" in asked.query for asked in registry.asked)


def test_mounted_from_where_the_registry_mirrors_another() -> None:
    with fake_registry() as registry:
        registry.add_blob("hub/library/base", DATA)
        policy = RegistryPolicy(mirrors=(f"{registry.host}/hub",), backoff=QUICK)
        pushed = blob(origin=Reference.parse("base:1"))
        assert registries(policy).push_blob(pushed, registry.reference("app")) == "mounted"
    assert registry.asked[-1].query["from"] == "hub/library/base"


def test_a_file_that_has_changed_is_not_pushed(tmp_path: Path) -> None:
    (tmp_path / "layer").write_bytes(DATA[:-1] + b"!")
    descriptor = Descriptor.of("", DATA)
    with fake_registry() as registry, pytest.raises(DigestMismatch):
        registries().push_blob(
            Blob(descriptor=descriptor, source=FileBlob(tmp_path / "layer", descriptor)), registry.reference("a")
        )
    assert registry.blobs == {}


def test_what_the_source_raises_is_not_tried_again() -> None:
    opened = []

    class Failing:
        @contextmanager
        def open(self) -> Iterator[Readable]:
            opened.append(1)
            raise StorageError("the disk is gone")
            yield

    with fake_registry() as registry, pytest.raises(StorageError, match="the disk is gone"):
        registries().push_blob(Blob(descriptor=Descriptor.of("", DATA), source=Failing()), registry.reference("a"))
    assert opened == [1]


def test_from_one_registry_to_another() -> None:
    with FakeRegistry() as source, FakeRegistry() as target:
        source.add_blob("base", DATA)
        client = registries()
        remote = client.blob(source.reference("base"), Descriptor.of("", DATA))
        assert client.push_blob(remote, target.reference("app")) == "uploaded"
    assert target.blobs["app", str(Digest.of(DATA))] == DATA


def test_the_permission_check_takes_its_upload_back() -> None:
    with fake_registry() as registry:
        registries().check_permission(registry.reference("a:1"))
    assert [str(asked) for asked in registry.asked] == ["POST /v2/a/blobs/uploads/", "DELETE /v2/a/blobs/uploads/1"]


def test_a_registry_that_cannot_cancel_is_no_obstacle() -> None:
    with fake_registry(lambda asked: Answer(status=405) if asked.method == "DELETE" else None) as registry:
        registries().check_permission(registry.reference("a:1"))
