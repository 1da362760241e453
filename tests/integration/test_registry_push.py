"""Pushes that overlap with the build, meet tags that may not be moved, and lose blobs; and ``builder push``."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from support.builder import Builder
from support.contexts import MakeContext
from support.fault_proxy import Fault, FaultProxy, Passing, Plan
from support.leftovers import nothing_left, processes_named
from support.registry import LoopbackRegistry
from support.stalling_proxy import StallingProxy
from test_registry_faults import make_image, push, registries, warnings

from builder.image.reference import Reference
from builder.progress import Recorded
from builder.registry.push import Pusher


def test_a_layer_is_uploaded_while_the_next_instruction_runs(
    user_builder: Builder,
    registry: LoopbackRegistry,
    busybox: dict[str, str],
    make_context: MakeContext,
    repository: str,
) -> None:
    """The registry stands still in the middle of the first layer; the command that comes after it does not end."""
    dockerfile = f"FROM {busybox['oci']}\nCOPY random /\nRUN sleep 1009\n"
    context = make_context({"Dockerfile": dockerfile, "random": os.urandom(2_000_000)})
    with StallingProxy(registry.port, "upload", after=500_000) as proxy, nothing_left(user_builder.state, context):
        destination = f"--destination={proxy.host}/{repository}:1"
        running = user_builder.start(*user_builder.build_arguments(context), destination)
        running.wait_until(lambda: bool(processes_named("sleep", "1009")), "the command runs")
        running.wait_until(proxy.stalled.is_set, "the upload has begun")
        assert processes_named("sleep", "1009")
        running.interrupt(signal.SIGTERM, group=False)
        running.finish(timeout=20).failed("SIGTERM", status=128 + signal.SIGTERM)
    assert registry.tags(repository) == []


def test_leaving_does_not_wait_for_an_upload_that_stands_still(registry: LoopbackRegistry, repository: str) -> None:
    """Its thread ends, too: the connection is taken away from under it."""
    image = make_image(3_000_000)
    with StallingProxy(registry.port, "upload", 1_000_000) as proxy:
        client = registries()
        with pytest.raises(KeyboardInterrupt), Pusher(client, client.progress) as pusher:
            pusher.start(image.layers[0], Reference.parse(f"{proxy.host}/{repository}:1"))
            assert proxy.stalled.wait(30)
            raise KeyboardInterrupt
        assert not any(thread.is_alive() for thread in pusher._threads)
    assert registry.tags(repository) == []


def test_a_blob_that_vanishes_before_the_manifest_comes(registry: LoopbackRegistry, repository: str) -> None:
    image, progress = make_image(200_000, 1000), Recorded()
    lost = image.layers[0].descriptor.digest
    links = registry.directory / "data/docker/registry/v2/repositories" / repository / "_layers/sha256"

    def plan(passing: Passing) -> Fault | None:
        if passing.method == "PUT" and "/manifests/" in passing.path and len(warnings(progress)) == 0:
            shutil.rmtree(links / lost.hex)
        return None

    with FaultProxy(registry.port, plan) as proxy:
        push(image, f"{proxy.host}/{repository}:1", progress=progress)
    assert registry.digest(repository, "1") == str(image.digest)
    assert "looking for what is missing" in warnings(progress)[0]
    uploads = [each for each in proxy.passed if each.uploads]
    assert len(uploads) == 4  # three blobs, and one of them again


# --- Tags that may not be moved ------------------------------------------------------------------------------------

REFUSALS = {
    "ECR": (400, "TAG_INVALID", "The image tag '1' already exists in the 'x' repository and cannot be overwritten"),
    "ECR's exception": (400, "ImageTagAlreadyExistsException", "no"),
    "Harbor": (412, "PRECONDITION", "Failed to process request due to 'x:1' configured as immutable."),
    "Artifact Registry": (400, "MANIFEST_INVALID", "cannot update tag 1. The repository has enabled tag immutability"),
    "GitLab": (403, "DENIED", "the tag 1 is protected"),
    "GitLab's rules": (403, "DENIED", "cannot push: matches a container tag protection rule"),
    "Quay": (409, "TAG_IMMUTABLE", "Tag 1 is immutable and cannot be overwritten"),
    "Azure": (405, "UNSUPPORTED", "The operation is disallowed on this registry, repository or image."),
    "Docker Hub": (403, "DENIED", "requested access to the resource is denied: immutable tag"),
    "Nexus": (400, "DENIED", "Repository does not allow updating assets: docker-hosted"),
}
IGNORE = "--push-ignore-immutable-tag-errors"


def refusing(status: int, code: str, message: str) -> Fault:
    body = json.dumps({"errors": [{"code": code, "message": message}]}).encode()
    return Fault(status=status, body=body, headers={"Content-Type": "application/json"})


def tagging(fault: Fault) -> Plan:
    """The fault for every manifest that is pushed."""
    return lambda each: fault if each.method == "PUT" and "/manifests/" in each.path else None


@pytest.mark.parametrize("who", REFUSALS)
def test_a_tag_that_may_not_be_moved(registry: LoopbackRegistry, repository: str, who: str) -> None:
    first, second = make_image(100), make_image(100)
    push(first, f"{registry.host}/{repository}:1")
    fault = refusing(*REFUSALS[who])
    with FaultProxy(registry.port, tagging(fault)) as proxy:
        with pytest.raises(Exception, match=str(fault.status)):
            push(second, f"{proxy.host}/{repository}:1")
        progress = Recorded()
        client = registries(progress, ignore_immutable_tags=True)
        with Pusher(client, progress) as pusher:
            pusher.finish(second, [Reference.parse(f"{proxy.host}/{repository}:1")])
        assert "the tag stays as it is" in warnings(progress)[-1]
        with pytest.raises(Exception, match=str(fault.status)):  # there is no such tag: it is another refusal
            with Pusher(registries(ignore_immutable_tags=True), progress) as pusher:
                pusher.finish(second, [Reference.parse(f"{proxy.host}/{repository}:2")])
    assert registry.digest(repository, "1") == str(first.digest)


def test_by_the_flag(
    user_builder: Builder, registry: LoopbackRegistry, make_context: MakeContext, repository: str
) -> None:
    context = make_context({"Dockerfile": "FROM scratch\nLABEL a=b\n"})
    user_builder.build(context, f"--destination={registry.host}/{repository}:1").ok()
    before = registry.digest(repository, "1")
    fault = refusing(*REFUSALS["ECR"])
    changed = make_context({"Dockerfile": "FROM scratch\nLABEL a=c\n"})
    with FaultProxy(registry.port, tagging(fault)) as proxy:
        destination = f"--destination={proxy.host}/{repository}:1"
        user_builder.build(changed, destination).failed("TAG_INVALID")
        files = [f"--{each}={user_builder.home}/{each}" for each in ("digest-file", "image-name-tag-with-digest-file")]
        outcome = user_builder.build(changed, destination, IGNORE, *files).ok()
        name = f"{proxy.host}/{repository}:1"
    assert registry.digest(repository, "1") == before
    assert f"not pushed to {name}, which stays {before}" in outcome.stderr
    assert "pushed 127" not in outcome.stderr
    # what comes after the build finds what is there, not what nobody can pull
    assert (user_builder.home / "digest-file").read_text() == before
    assert (user_builder.home / "image-name-tag-with-digest-file").read_text() == f"{name}@{before}\n"


def test_another_refusal_is_not_ignored(
    user_builder: Builder, registry: LoopbackRegistry, make_context: MakeContext, repository: str
) -> None:
    context = make_context({"Dockerfile": "FROM scratch\nLABEL a=b\n"})
    user_builder.build(context, f"--destination={registry.host}/{repository}:1").ok()
    fault = refusing(403, "DENIED", "requested access to the resource is denied")
    with FaultProxy(registry.port, tagging(fault)) as proxy:
        destination = f"--destination={proxy.host}/{repository}:1"
        user_builder.build(context, destination, IGNORE).failed("403 Forbidden: DENIED")


# --- What a registry or a proxy before it says ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "message", "hint"),
    [
        (Fault(status=404, body=b"<html><title>404</title>"), "404 Not Found", "does not exist"),
        (refusing(404, "NAME_UNKNOWN", "project not found"), "NAME_UNKNOWN: project not found", "does not exist"),
        (Fault(status=413, body=b"<html>nginx</html>"), "413 Request Entity Too Large", "client_max_body_size"),
        (
            refusing(429, "TOOMANYREQUESTS", "slow down"),
            "429 Too Many Requests: TOOMANYREQUESTS",
            "limits how often",
        ),
        (Fault(status=507, body=b"x" * 200_000), "507 Insufficient Storage", "no space left"),
    ],
    ids=["404 of a proxy", "404", "413", "429", "507"],
)
def test_refusals_of_an_upload_say_what_to_do(
    user_builder: Builder,
    registry: LoopbackRegistry,
    make_context: MakeContext,
    repository: str,
    fault: Fault,
    message: str,
    hint: str,
) -> None:
    if fault.status == 429:
        fault = Fault(status=429, body=fault.body, headers={**fault.headers, "Retry-After": "3600"})
    context = make_context({"Dockerfile": "FROM scratch\nCOPY random /\n", "random": os.urandom(100_000)})
    with FaultProxy(registry.port, lambda each: fault if each.method in ("POST", "PUT") else None) as proxy:
        destination = f"--destination={proxy.host}/{repository}:1"
        outcome = user_builder.build(context, destination, "--skip-push-permission-check").failed(message)
    assert proxy.host in outcome.stderr
    assert hint in outcome.stderr
    assert len(outcome.stderr) < 2000
    assert "<html>" not in outcome.stderr


# --- builder push --------------------------------------------------------------------------------------------------


def skopeo(*arguments: str) -> None:
    command = ["skopeo", "--insecure-policy", "copy", "--quiet", "--src-tls-verify=false", *arguments]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)


@pytest.fixture
def index(registry: LoopbackRegistry, busybox: dict[str, str], scratch: Path) -> Path:
    """The layout of an index of two platforms, by skopeo."""
    skopeo("--all", f"docker://{busybox['index']}", f"oci:{scratch / 'layout'}:name")
    return scratch / "layout"


def test_an_index_of_a_layout_is_pushed_whole(
    user_builder: Builder, registry: LoopbackRegistry, busybox: dict[str, str], index: Path, repository: str
) -> None:
    places = [f"{registry.host}/{repository}:1", f"{registry.host}/{repository}/other:2"]
    digest_file = user_builder.home / "digest"
    arguments = [f"--destination={place}" for place in places]
    user_builder.run("push", index, *arguments, f"--digest-file={digest_file}").ok()
    original = registry.digest("base/busybox", "index")
    assert digest_file.read_text() == original
    assert registry.digest(repository, "1") == original
    assert registry.digest(f"{repository}/other", "2") == original
    skopeo("--all", f"docker://{places[1]}", f"dir:{index.parent / 'copy'}")  # all of it is there


def test_an_index_with_an_index_and_an_attestation(
    user_builder: Builder, registry: LoopbackRegistry, index: Path, repository: str
) -> None:
    """As a builder writes it that makes attestations: what is no image is pushed with the rest."""
    from builder.image.descriptor import Descriptor
    from builder.storage.blobs import BlobStore

    store = BlobStore(index)
    statement, config = b'{"predicate": {}}', b"{}"
    store.put(statement)
    store.put(config)
    attestation = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": Descriptor.of("application/vnd.oci.image.config.v1+json", config).to_json(),
        "layers": [Descriptor.of("application/vnd.in-toto+json", statement).to_json()],
    }
    data = json.dumps(attestation).encode()
    store.put(data)
    (inner,) = json.loads((index / "index.json").read_text())["manifests"]
    about = Descriptor.of(attestation["mediaType"], data).to_json()  # type: ignore[arg-type]
    about["platform"] = {"os": "unknown", "architecture": "unknown"}
    outer = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": [inner, about]}
    text = json.dumps(outer).encode()
    store.put(text)
    (index / "index.json").write_text(
        json.dumps({"schemaVersion": 2, "manifests": [Descriptor.of(outer["mediaType"], text).to_json()]})  # type: ignore[arg-type]
    )
    user_builder.run("push", index, f"--destination={registry.host}/{repository}:1").ok()
    assert registry.digest(repository, "1") == str(Descriptor.of("", text).digest)
    assert registry.manifest(repository, inner["digest"])["manifests"]
    assert registry.blob(repository, str(Descriptor.of("", statement).digest)) == statement


def test_one_of_several_images_of_a_layout(
    user_builder: Builder, registry: LoopbackRegistry, busybox: dict[str, str], scratch: Path, repository: str
) -> None:
    layout = scratch / "layout"
    for name in ("oci", "zstd"):
        skopeo(f"docker://{busybox[name]}", f"oci:{layout}:{name}")
    destination = f"--destination={registry.host}/{repository}:1"
    outcome = user_builder.run("push", layout, destination).failed("holds 2 images: oci, zstd")
    assert f"{layout}:oci" in outcome.stderr
    user_builder.run("push", f"{layout}:zstd", destination).ok()
    assert registry.digest(repository, "1") == registry.digest("base/busybox", "zstd")
    user_builder.run("push", f"{layout}:none", destination).failed("has no image none; it has oci, zstd")


def test_images_of_several_platforms_side_by_side_become_an_index(
    user_builder: Builder, registry: LoopbackRegistry, index: Path, repository: str
) -> None:
    """As buildah and others write layouts: an entry for each platform, and no index of their own."""
    (entry,) = json.loads((index / "index.json").read_text())["manifests"]
    inner = json.loads((index / "blobs/sha256" / entry["digest"][7:]).read_text())
    (index / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": inner["manifests"]}))
    user_builder.run("push", index, f"--destination={registry.host}/{repository}:1").ok()
    assert registry.manifest(repository, "1")["manifests"] == inner["manifests"]


def test_one_of_several_images_of_a_docker_archive(
    user_builder: Builder, registry: LoopbackRegistry, make_context: MakeContext, scratch: Path, repository: str
) -> None:
    archive = scratch / "images.tar"
    archives = [scratch / f"{number}.tar" for number in (1, 2)]
    for number, path in enumerate(archives, 1):
        context = make_context({"Dockerfile": "FROM scratch\nCOPY file /\n", "file": str(number)})
        user_builder.build(context, "--no-push", f"--tar-path={path}", f"--destination=r.example/x:{number}").ok()
    join_archives(archive, *archives)
    destination = f"--destination={registry.host}/{repository}:1"
    user_builder.run("push", archive, destination).failed("holds 2 images: r.example/x:1, r.example/x:2")
    user_builder.run("push", f"{archive}:r.example/x:2", destination).ok()
    layer = registry.manifest(repository, "1")["layers"][0]["digest"]
    other = f"--destination={registry.host}/{repository}/single:1"
    user_builder.run("push", archives[1], other).ok()
    assert registry.manifest(f"{repository}/single", "1")["layers"][0]["digest"] == layer


def join_archives(path: Path, *archives: Path) -> None:
    """One docker archive of several, as ``docker save one two`` makes it."""
    import io
    import tarfile

    entries, seen = [], set()
    with tarfile.open(path, "w") as joined:
        for archive in archives:
            with tarfile.open(archive) as tar:
                for info in tar:
                    content = tar.extractfile(info)
                    if info.name == "manifest.json":
                        assert content
                        entries += json.load(content)
                    elif info.name not in seen and info.name != "repositories":
                        joined.addfile(info, content)
                        seen.add(info.name)
        data = json.dumps(entries).encode()
        info = tarfile.TarInfo("manifest.json")
        info.size = len(data)
        joined.addfile(info, io.BytesIO(data))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda layout: shutil.rmtree(layout / "blobs"), "is incomplete"),
        (lambda layout: (layout / "index.json").write_text('{"manifests": []}'), "has no image; it has nothing"),
        (lambda layout: (layout / "index.json").write_text("["), "is not valid"),
        (lambda layout: (layout / "index.json").write_text('{"manifests": [{"digest": 7}]}'), "invalid descriptor"),
        (lambda layout: (layout / "oci-layout").unlink(), "no OCI layout"),
    ],
    ids=["blobs", "nothing", "json", "descriptor", "marker"],
)
def test_layouts_that_are_damaged(
    user_builder: Builder,
    registry: LoopbackRegistry,
    index: Path,
    repository: str,
    damage: Callable[[Path], None],
    message: str,
) -> None:
    damage(index)
    user_builder.run("push", index, f"--destination={registry.host}/{repository}:1").failed(message)
    assert registry.tags(repository) == []


def test_a_blob_of_a_layout_that_is_damaged(
    user_builder: Builder, registry: LoopbackRegistry, index: Path, repository: str
) -> None:
    largest = max((index / "blobs/sha256").iterdir(), key=lambda blob: blob.stat().st_size)
    data = bytearray(largest.read_bytes())
    data[-1] ^= 1
    largest.write_bytes(data)
    outcome = user_builder.run("push", index, f"--destination={registry.host}/{repository}:1")
    outcome.failed(f"blob sha256:{largest.name} .*has the wrong content")
    assert registry.tags(repository) == []


def test_a_path_that_is_not_there(user_builder: Builder) -> None:
    user_builder.run("push", "/no/such/path:1", "--destination=r.example/x").failed("/no/such/path:1 does not exist")
