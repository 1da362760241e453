"""Pushes and pulls through a proxy that breaks connections, answers for the registry, and damages what passes."""

from __future__ import annotations

import os

import pytest
from support.fault_proxy import Fault, FaultProxy, Passing, once
from support.registry import LoopbackRegistry
from support.resumable_registry import ResumableRegistry

from builder.digest import Digest
from builder.image.config import ImageConfig
from builder.image.descriptor import Descriptor
from builder.image.manifest import Manifest
from builder.image.media_types import Family
from builder.image.platform import Platform
from builder.image.reference import Reference
from builder.progress import Message, Recorded
from builder.registry.client import Registries
from builder.registry.errors import ConnectionFailed, RegistryError
from builder.registry.keychain import DockerKeychain
from builder.registry.policy import Backoff, RegistryPolicy
from builder.registry.push import Pusher
from builder.storage.blob import Blob, MemoryBlob
from builder.storage.image import Image

SIZES = (3_000_000, 70_000, 1_500_000)


def registries(progress: Recorded | None = None, **policy: object) -> Registries:
    backoff = Backoff(attempts=4, base=0.01, longest=5.0)
    return Registries(
        RegistryPolicy(backoff=backoff, **policy),  # type: ignore[arg-type]
        DockerKeychain({}),
        progress or Recorded(),
        {},
    )


def make_image(*sizes: int) -> Image:
    layers = [os.urandom(size) for size in sizes]
    config = ImageConfig(platform=Platform.host(), diff_ids=tuple(map(Digest.of, layers))).to_bytes()
    blobs = tuple(
        Blob(descriptor=Descriptor.of(Family.OCI.layer("none"), data), source=MemoryBlob(data)) for data in layers
    )
    manifest = Manifest(
        family=Family.OCI,
        config=Descriptor.of(Family.OCI.config, config),
        layers=tuple(blob.descriptor for blob in blobs),
    )
    return Image(manifest=manifest, config=config, layers=blobs)


def push(image: Image, *destinations: str, progress: Recorded | None = None, jobs: int = 4) -> None:
    client = registries(progress)
    with Pusher(client, client.progress, jobs) as pusher:
        pusher.finish(image, [Reference.parse(each) for each in destinations])


def total(image: Image) -> int:
    return sum(layer.descriptor.size for layer in image.layers) + len(image.config)


def warnings(progress: Recorded) -> list[str]:
    return [event.text for event in progress.events if isinstance(event, Message) and event.level == "warning"]


# --- Uploads against a registry that resumes ------------------------------------------------------------------------


@pytest.mark.parametrize("absolute", [False, True], ids=["relative", "absolute"])
def test_no_acknowledged_byte_is_sent_again(absolute: bool) -> None:
    """Each large upload breaks off twice, at places that are no multiple of anything."""
    image, progress = make_image(*SIZES), Recorded()
    broken: dict[str, int] = {}

    def plan(passing: Passing) -> Fault | None:
        session = passing.path.partition("?")[0]
        length = int(passing.headers.get("content-length", 0))
        if not passing.uploads or length < 500_000 or broken.get(session, 0) == 2:
            return None
        broken[session] = broken.get(session, 0) + 1
        return Fault(reset_upload=length // 3 + 7)

    with ResumableRegistry(absolute=absolute) as registry, FaultProxy(registry.port, plan) as proxy:
        push(image, f"{proxy.host}/a/b:1", progress=progress)
    assert sorted(broken.values()) == [2, 2]
    assert registry.resent == 0
    assert registry.received == total(image)
    assert registry.opened == 4
    assert set(registry.blobs) == {str(each.digest) for each in (*image.manifest.layers, image.manifest.config)}
    assert registry.manifests["/v2/a/b/manifests/1"] == image.manifest_bytes
    assert sum("going on with blob" in text for text in warnings(progress)) == 4


def test_an_upload_that_breaks_again_and_again_gets_there_as_long_as_it_moves() -> None:
    """More breaks than there are tries: each gains a little."""
    image = make_image(2_000_000)

    def plan(passing: Passing) -> Fault | None:
        large = int(passing.headers.get("content-length", 0)) > 200_000
        return Fault(reset_upload=150_000) if passing.uploads and large else None

    with ResumableRegistry() as registry, FaultProxy(registry.port, plan) as proxy:
        push(image, f"{proxy.host}/a:1")
    assert registry.received == total(image)
    assert (registry.resent, registry.opened) == (0, 2)


def test_a_registry_that_forgets_what_it_has_promised_is_not_tried_for_ever() -> None:
    """It acknowledges a part of each upload, and knows nothing of it when the rest comes."""
    image = make_image(900_000)

    def plan(passing: Passing) -> Fault | None:
        if passing.method == "PATCH":
            return Fault(status=404)
        large = int(passing.headers.get("content-length", 0)) > 500_000
        return Fault(reset_upload=400_000) if passing.uploads and large else None

    with ResumableRegistry() as registry, FaultProxy(registry.port, plan) as proxy:
        with pytest.raises(RegistryError):
            push(image, f"{proxy.host}/a:1", jobs=1)
    assert sum(passing.method == "PUT" for passing in proxy.passed) <= 8
    assert registry.manifests == {}


def test_an_upload_that_does_not_move_ends() -> None:
    image = make_image(500_000)
    plan = lambda passing: Fault(reset_upload=0) if passing.uploads else None  # noqa: E731
    with ResumableRegistry() as registry, FaultProxy(registry.port, plan) as proxy:
        with pytest.raises(ConnectionFailed, match="broke off"):
            push(image, f"{proxy.host}/a:1", jobs=1)
    assert sum(passing.uploads for passing in proxy.passed) == 4
    assert registry.manifests == {}


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_an_answer_that_may_pass_is_followed_by_the_same_upload(status: int) -> None:
    image = make_image(200_000)
    plan = once(lambda passing: passing.uploads, Fault(status=status, headers={"Retry-After": "0"}))
    with ResumableRegistry() as registry, FaultProxy(registry.port, plan) as proxy:
        push(image, f"{proxy.host}/a:1", jobs=1)
    assert (registry.opened, registry.received) == (2, total(image))


def test_a_size_limit_of_a_proxy_is_met_by_chunks() -> None:
    image, progress = make_image(3_500_000), Recorded()
    with ResumableRegistry(largest=1 << 20) as registry:
        push(image, f"{registry.host}/a:1", progress=progress)
    assert sum(request.startswith("PATCH ") for request in registry.requests) == 4
    assert (registry.received, registry.resent) == (total(image), 0)
    (warning,) = warnings(progress)
    assert "413" in warning
    assert "pieces of 1024 KiB" in warning


def test_a_size_limit_below_the_registrys_shortest_chunk() -> None:
    with ResumableRegistry(largest=1 << 20, shortest=2 << 20) as registry:
        with pytest.raises(RegistryError, match="413") as caught:
            push(make_image(12_000_000), f"{registry.host}/a:1")
    assert "client_max_body_size" in (caught.value.hint or "")
    assert registry.sessions == {}  # taken back
    assert registry.manifests == {}


def test_chunks_go_on_where_they_broke_off() -> None:
    image = make_image(3_500_000)
    plan = once(
        lambda passing: passing.method == "PATCH" and "Content-Range".lower() in passing.headers,
        Fault(reset_upload=300_001),
        Fault(reset_upload=600_001),
    )
    with ResumableRegistry(largest=1 << 20) as registry, FaultProxy(registry.port, plan) as proxy:
        push(image, f"{proxy.host}/a:1")
    assert (registry.received, registry.resent) == (total(image), 0)


def test_an_upload_that_stands_still_goes_on_by_another_connection() -> None:
    """It is larger than all buffers on the way, so that the sender notices."""
    image = make_image(30_000_000)
    large = lambda passing: passing.uploads and int(passing.headers["content-length"]) > 1_000_000  # noqa: E731
    plan = once(large, Fault(stall_upload=5_000_001))
    with ResumableRegistry() as registry, FaultProxy(registry.port, plan) as proxy:
        client = registries(connect_timeout=0.5, read_timeout=0.5)
        with Pusher(client, client.progress) as pusher:
            pusher.finish(image, [Reference.parse(f"{proxy.host}/a:1")])
        assert proxy.stalled.is_set()
    assert (registry.resent, registry.received) == (0, total(image))


@pytest.mark.exhaustive
def test_a_slow_connection_is_no_broken_one() -> None:
    """Much longer in all than a timeout is, and never silent for that long."""
    image, progress = make_image(4_000_000), Recorded()
    with ResumableRegistry() as registry, FaultProxy(registry.port, lambda passing: Fault(slow=0.7)) as proxy:
        client = registries(progress, read_timeout=2.5)
        with Pusher(client, progress) as pusher:
            pusher.finish(image, [Reference.parse(f"{proxy.host}/a:1")])
        with client.open_blob(Reference.parse(f"{proxy.host}/a"), image.manifest.layers[0]) as stream:
            assert Digest.of(stream.read()) == image.manifest.layers[0].digest
    assert warnings(progress) == []


@pytest.mark.parametrize(("direction", "retries"), [("push", 0), ("push", 3), ("pull", 0), ("pull", 3)])
def test_the_number_of_tries(direction: str, retries: int) -> None:
    """``--push-retry`` and ``--image-download-retry`` add to those that there are anyway."""
    with ResumableRegistry() as registry, FaultProxy(registry.port, lambda passing: Fault(status=503)) as proxy:
        client = registries(push_retries=retries) if direction == "push" else registries(pull_retries=retries)
        reference = Reference.parse(f"{proxy.host}/a")
        with pytest.raises(RegistryError, match="503"):
            client.check_permission(reference) if direction == "push" else client.manifest(reference)
    asked = [each for each in proxy.passed if each.path != "/v2/"]
    assert len(asked) == 4 + retries


# --- Uploads against docker-registry, which cancels what breaks off -------------------------------------------------


def test_docker_registry_gets_only_the_broken_blob_again(registry: LoopbackRegistry, repository: str) -> None:
    image, progress = make_image(*SIZES), Recorded()
    broken = 2_000_000
    plan = once(
        lambda passing: passing.uploads and int(passing.headers["content-length"]) > broken, Fault(reset_upload=broken)
    )
    with FaultProxy(registry.port, plan) as proxy:
        push(image, f"{proxy.host}/{repository}:1", progress=progress)
    assert registry.digest(repository, "1") == str(image.digest)
    uploads = [int(each.headers["content-length"]) for each in proxy.passed if each.uploads]
    assert sorted(size for size in uploads if size) == sorted([*SIZES, SIZES[0], len(image.config)])
    opened = [each for each in proxy.passed if each.method == "POST"]
    assert len(opened) == 5
    assert len(warnings(progress)) == 1


@pytest.mark.parametrize(
    "fault",
    [
        Fault(reset_upload=1_000_000),
        Fault(status=503),
        Fault(status=429, headers={"Retry-After": "0"}),
        Fault(status=500, body=b"<html>on fire</html>", headers={"Content-Type": "text/html"}),
    ],
    ids=lambda fault: f"{fault.status or 'reset'}",
)
def test_docker_registry_and_faults_of_uploads(registry: LoopbackRegistry, repository: str, fault: Fault) -> None:
    image = make_image(1_500_000, 100)
    plan = once(lambda passing: passing.uploads and int(passing.headers["content-length"]) > 1_000_000, fault, fault)
    with FaultProxy(registry.port, plan) as proxy:
        push(image, f"{proxy.host}/{repository}:1")
    assert registry.digest(repository, "1") == str(image.digest)
