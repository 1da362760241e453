from __future__ import annotations

import pytest
from stand_in import QUICK, Answer, Asked, FakeRegistry, fake_registry, registries

from builder.digest import Digest
from builder.errors import DigestMismatch, ManifestError
from builder.image import media_types
from builder.progress import Message, Recorded
from builder.registry.errors import RegistryError
from builder.registry.policy import RegistryPolicy

DOCUMENT = {"schemaVersion": 2, "layers": []}


def test_fetched_by_tag_and_by_digest() -> None:
    with fake_registry() as registry:
        digest = registry.add_manifest("a", "1", f"{media_types.OCI_MANIFEST}; charset=utf-8", DOCUMENT)
        client = registries()
        by_tag = client.manifest(registry.reference("a:1"))
        by_digest = client.manifest(registry.reference(f"a@{digest}"))
    assert by_tag.data == by_digest.data
    assert (by_tag.media_type, by_tag.digest) == (media_types.OCI_MANIFEST, digest)
    assert by_tag.reference == registry.reference(f"a:1@{digest}")
    accepted = registry.asked[0].headers["accept"]
    assert all(each in accepted for each in (*media_types.MANIFESTS, *media_types.INDEXES))


@pytest.mark.parametrize("name", ["a:1", f"a@sha256:{'0' * 64}"])
def test_other_content_than_the_digest_says(name: str) -> None:
    def lie(asked: Asked) -> Answer:
        return Answer(headers={"Docker-Content-Digest": f"sha256:{'0' * 64}"}, body=b"{}")

    with fake_registry(lie) as registry, pytest.raises(DigestMismatch, match="wrong content"):
        registries().manifest(registry.reference(name))


def test_sha512_is_verified_too() -> None:
    import hashlib

    digest = f"sha512:{hashlib.sha512(b'{}').hexdigest()}"
    with fake_registry(lambda asked: Answer(body=b"{}")) as registry:
        assert str(registries().manifest(registry.reference(f"a@{digest}")).digest) == digest


@pytest.mark.parametrize("length", [{}, {"Transfer-Encoding": "identity", "Connection": "close"}])
def test_a_manifest_larger_than_4_mib(length: dict[str, str]) -> None:
    body = b" " * (4 * 1024 * 1024 + 1)
    with fake_registry(lambda asked: Answer(body=body, headers=length)) as registry:
        with pytest.raises(ManifestError, match="larger than 4194304 bytes"):
            registries().manifest(registry.reference("a:1"))


def test_put_by_tag_goes_where_the_tag_says() -> None:
    with fake_registry() as registry:
        digest = registries().push_manifest(registry.reference("a/b:1"), media_types.OCI_MANIFEST, b"{}")
    assert digest == Digest.of(b"{}")
    assert registry.manifests["a/b", "1"] == (media_types.OCI_MANIFEST, b"{}")


def test_put_that_the_registry_understood_differently() -> None:
    def lie(asked: Asked) -> Answer:
        return Answer(status=201, headers={"Docker-Content-Digest": f"sha256:{'0' * 64}"})

    with fake_registry(lie) as registry, pytest.raises(DigestMismatch):
        registries().push_manifest(registry.reference("a:1"), media_types.OCI_MANIFEST, b"{}")


def test_the_second_mirror_then_the_registry_itself() -> None:
    progress = Recorded()
    with FakeRegistry() as empty, FakeRegistry() as full, FakeRegistry() as origin:
        digest = full.add_manifest("m/a", "1", media_types.OCI_MANIFEST, DOCUMENT)
        origin.add_manifest("b", "1", media_types.OCI_MANIFEST, DOCUMENT)
        policy = RegistryPolicy(maps={origin.host: (empty.host, f"{full.host}/m")}, backoff=QUICK)
        client = registries(policy, progress=progress)
        assert client.manifest(origin.reference("a:1")).reference == origin.reference(f"a:1@{digest}")
        assert origin.requests == []
        client.manifest(origin.reference("b:1"))
    warnings = [event.text for event in progress.events if isinstance(event, Message) and event.level == "warning"]
    assert len(warnings) == 3
    assert empty.host in warnings[0]


def test_without_a_fallback_the_mirrors_error_is_the_error() -> None:
    with FakeRegistry() as empty, FakeRegistry() as origin:
        origin.add_manifest("a", "1", media_types.OCI_MANIFEST, DOCUMENT)
        policy = RegistryPolicy(maps={origin.host: (empty.host,)}, default_fallback=False, backoff=QUICK)
        with pytest.raises(RegistryError, match=empty.host):
            registries(policy).manifest(origin.reference("a:1"))
        assert origin.requests == []


def test_connections_are_kept() -> None:
    with fake_registry() as registry:
        registry.add_manifest("a", "1", media_types.OCI_MANIFEST, DOCUMENT)
        digest = registry.add_blob("a", b"x")
        client = registries()
        for _ in range(5):
            client.manifest(registry.reference("a:1"))
            assert client.has_blob(registry.reference("a"), digest)
            assert not client.has_blob(registry.reference("b"), digest)
    # one for the TLS that is tried first, one for everything else
    assert registry.connections <= 2
