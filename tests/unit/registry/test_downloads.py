from __future__ import annotations

import random

import pytest
from stand_in import Answer, Asked, FakeRegistry, fake_registry, registries

from builder.digest import Digest
from builder.errors import DigestMismatch
from builder.image.descriptor import Descriptor
from builder.progress import Recorded, Transfer
from builder.registry.errors import ConnectionFailed, RegistryError

DATA = random.Random(1).randbytes(3_000_000)
BLOB = Descriptor.of("", DATA)


def download(registry: FakeRegistry, descriptor: Descriptor = BLOB, chunk: int = 1 << 20) -> bytes:
    with registries().open_blob(registry.reference("a"), descriptor) as stream:
        return b"".join(iter(lambda: stream.read(chunk), b""))


@pytest.mark.parametrize("chunk", [1 << 20, 100_003, -1])
def test_whole(chunk: int) -> None:
    with fake_registry() as registry:
        registry.add_blob("a", DATA)
        with registries().open_blob(registry.reference("a"), BLOB) as stream:
            read = stream.read() if chunk < 0 else b"".join(iter(lambda: stream.read(chunk), b""))
    assert read == DATA


def test_an_empty_blob() -> None:
    with fake_registry() as registry:
        registry.add_blob("a", b"")
        assert download(registry, Descriptor.of("", b"")) == b""


def test_transfers_are_told() -> None:
    progress = Recorded()
    with fake_registry() as registry:
        registry.add_blob("a", DATA)
        with registries(progress=progress).open_blob(registry.reference("a"), BLOB) as stream:
            stream.read()
    transfers = [event for event in progress.events if isinstance(event, Transfer)]
    what = f"sha256:{BLOB.digest.hex[:12]}"
    assert transfers[0] == Transfer("pull", what, 0, len(DATA))
    assert transfers[-1] == Transfer("pull", what, len(DATA), len(DATA))


def test_breaks_are_resumed_where_they_were() -> None:
    def cut_first_three(asked: Asked) -> Answer | None:
        count = len(registry.asked)
        if count > 3:
            return None
        offset = int(asked.headers.get("range", "bytes=0-")[6:-1])
        headers = {"Content-Range": f"bytes {offset}-x/*"} if offset else {}
        return Answer(status=206 if offset else 200, headers=headers, body=DATA[offset:], cut=700_000)

    with fake_registry(cut_first_three) as registry:
        registry.add_blob("a", DATA)
        with registries().open_blob(registry.reference("a"), BLOB) as stream:
            assert b"".join(iter(lambda: stream.read(65536), b"")) == DATA
    ranges = [asked.headers.get("range") for asked in registry.asked]
    assert ranges[0] is None
    offsets = [int((each or "bytes=0-")[6:-1]) for each in ranges[1:]]
    assert offsets == sorted(offsets)
    assert offsets[0] > 0
    assert len(registry.asked) == 4


def test_a_server_without_ranges_sends_all_again() -> None:
    def cut_first(asked: Asked) -> Answer:
        return Answer(body=DATA, cut=1_500_000 if len(registry.asked) == 1 else None)

    with fake_registry(cut_first) as registry:
        assert download(registry, chunk=65536) == DATA
    assert len(registry.asked) == 2


def test_breaks_without_progress_are_bounded() -> None:
    with fake_registry(lambda asked: Answer(body=DATA, cut=10)) as registry:
        with pytest.raises(ConnectionFailed, match="broke off"):
            download(registry, chunk=4)
    assert len(registry.asked) <= 4


def test_another_range_than_asked_for() -> None:
    def wrong_range(asked: Asked) -> Answer:
        if "range" not in asked.headers:
            return Answer(body=DATA, cut=1_500_000)
        return Answer(status=206, headers={"Content-Range": "bytes 0-99/100"}, body=DATA[:100])

    with fake_registry(wrong_range) as registry, pytest.raises(RegistryError, match="another range"):
        download(registry, chunk=65536)


OTHER = DATA[:-1] + bytes([DATA[-1] ^ 1])
NO_LENGTH = {"Content-Length": "", "Connection": "close"}


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (Answer(body=OTHER), "wrong content: its digest is sha256:"),
        (Answer(body=DATA[:-1]), "wrong size: 2999999 bytes"),
        (Answer(body=DATA + b"x"), "wrong size: 3000001 bytes"),
        (Answer(body=DATA + b"x", headers=NO_LENGTH), "longer than the 3000000 bytes"),
        (Answer(body=OTHER, headers=NO_LENGTH), "wrong content"),
        (Answer(body=b""), "wrong size"),
    ],
)
def test_what_is_not_the_blob(answer: Answer, message: str) -> None:
    with fake_registry(lambda asked: answer) as registry, pytest.raises(DigestMismatch, match=message) as caught:
        download(registry)
    assert f"{BLOB.digest} of {registry.host}/a" in str(caught.value)


def test_a_body_that_always_ends_early() -> None:
    with fake_registry(lambda asked: Answer(body=DATA[:1000], headers=NO_LENGTH)) as registry:
        with pytest.raises(ConnectionFailed, match=r"ended blob .* after 1000 of 3000000 bytes"):
            download(registry)
    assert len(registry.asked) <= 4


def test_a_blob_that_is_not_there() -> None:
    with fake_registry() as registry, pytest.raises(RegistryError, match=r"cannot pull blob .*BLOB_UNKNOWN") as caught:
        download(registry)
    assert "does not have this blob" in (caught.value.hint or "")


def test_leaving_early_is_fine() -> None:
    with fake_registry() as registry:
        registry.add_blob("a", DATA)
        client = registries()
        with client.open_blob(registry.reference("a"), BLOB) as stream:
            stream.read(10)
        assert client.has_blob(registry.reference("a"), BLOB.digest)


def test_has_blob_does_not_guess() -> None:
    with fake_registry(lambda asked: Answer(status=403)) as registry, pytest.raises(RegistryError, match="403"):
        registries().has_blob(registry.reference("a"), Digest.of(b""))


def test_a_blob_opens_as_often_as_wanted() -> None:
    with fake_registry() as registry:
        registry.add_blob("a", DATA)
        blob = registries().blob(registry.reference("a"), BLOB)
        assert blob.origin == registry.reference("a")
        for _ in range(2):
            with blob.source.open() as stream:
                assert stream.read() == DATA
