"""Debian's docker-registry, and other people's tools on what was pushed, saved and laid out."""

from __future__ import annotations

import gzip
import io
import json
import os
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.containers import Podman, skopeo_inspect
from support.registry import PASSWORD, USER, LoopbackRegistry
from support.stalling_proxy import StallingProxy

from builder.digest import Digest
from builder.image.config import ContainerConfig, ImageConfig
from builder.image.descriptor import Descriptor
from builder.image.manifest import Manifest
from builder.image.media_types import Family
from builder.image.platform import Platform
from builder.image.reference import Reference
from builder.progress import Recorded, Silent, Transfer
from builder.registry.client import Registries
from builder.registry.errors import ConnectionFailed, RegistryError
from builder.registry.keychain import DockerKeychain
from builder.registry.policy import Backoff, RegistryPolicy
from builder.registry.pull import resolve_image
from builder.registry.push import Pusher
from builder.storage.blob import Blob
from builder.storage.blobs import BlobStore
from builder.storage.docker_archive import read_docker_archive, write_docker_archive
from builder.storage.image import Image
from builder.storage.oci_layout import read_oci_layout, write_oci_layout

HOST = Platform.host()


@pytest.fixture(scope="module")
def closed() -> Iterator[LoopbackRegistry]:
    """A registry that wants a user and password."""
    with LoopbackRegistry(htpasswd=True) as running:
        yield running


def registries(progress: Recorded | None = None, **environment: str) -> Registries:
    policy = RegistryPolicy(backoff=Backoff(attempts=3, base=0.01))
    return Registries(policy, DockerKeychain(environment), progress or Recorded(), environment)


def layer_of(name: str, data: bytes) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        info = tarfile.TarInfo(name)
        info.size = len(data)
        tar.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


@pytest.fixture(params=list(Family), ids=lambda family: family.value)
def image(request: pytest.FixtureRequest, tmp_path: Path) -> Image:
    """An image of two layers in a blob store, one of several MB that do not compress."""
    return make_image(BlobStore(tmp_path / "store"), request.param)


def make_image(store: BlobStore, family: Family = Family.OCI) -> Image:
    tars = [layer_of("hello", b"hello\n"), layer_of("random", os.urandom(5_000_000))]
    config = ImageConfig(
        platform=HOST, diff_ids=tuple(map(Digest.of, tars)), config=ContainerConfig(labels={"a": "b"})
    ).to_bytes()
    blobs = []
    for tar in tars:
        data = gzip.compress(tar, 1, mtime=0)
        store.put(data)
        descriptor = Descriptor.of(family.layer("gzip"), data)
        blobs.append(Blob(descriptor=descriptor, source=store.source(descriptor)))
    manifest = Manifest(
        family=family,
        config=Descriptor.of(family.config, config),
        layers=tuple(blob.descriptor for blob in blobs),
    )
    return Image(manifest=manifest, config=config, layers=tuple(blobs))


def push(client: Registries, image: Image, *destinations: str) -> None:
    with Pusher(client, client.progress) as pusher:
        pusher.finish(image, [Reference.parse(each) for each in destinations])


def test_pushed_read_by_skopeo_and_pulled(registry: LoopbackRegistry, repository: str, image: Image) -> None:
    name = registry.reference(f"{repository}:1")
    push(registries(), image, name)
    assert registry.digest(repository, "1") == str(image.digest)
    inspected = skopeo_inspect(f"docker://{name}")
    assert inspected["Digest"] == str(image.digest)
    assert inspected["Layers"] == [str(layer.digest) for layer in image.manifest.layers]
    assert inspected["Labels"] == {"a": "b"}
    found = resolve_image(registries(), Reference.parse(name), HOST)
    assert (found.manifest_bytes, found.config_bytes) == (image.manifest_bytes, image.config)
    for layer, original in zip(found.layers, image.layers, strict=True):
        with layer.source.open() as pulled, original.source.open() as stored:
            assert pulled.read() == stored.read()


def test_skopeo_copies_every_blob(registry: LoopbackRegistry, repository: str, image: Image, tmp_path: Path) -> None:
    """skopeo verifies each layer against the manifest and the config."""
    name = registry.reference(f"{repository}:1")
    push(registries(), image, name)
    copy(f"docker://{name}", f"oci:{tmp_path / 'copy'}:x", "--src-tls-verify=false")


def test_a_second_repository_is_mounted_to(registry: LoopbackRegistry, repository: str, image: Image) -> None:
    progress = Recorded()
    names = [registry.reference(f"{repository}/{name}") for name in ("one:1", "two:1", "two:2")]
    push(registries(progress), image, *names)
    assert registry.tags(f"{repository}/two") == ["1", "2"]
    notes = [event.note for event in progress.events if isinstance(event, Transfer) and event.note]
    assert notes == [f"mounted from {registry.reference(repository)}/one"] * 3


def test_a_base_layer_is_mounted_without_a_download(registry: LoopbackRegistry, repository: str, image: Image) -> None:
    progress = Recorded()
    client = registries(progress)
    push(client, image, registry.reference(f"{repository}/base:1"))
    found = resolve_image(client, Reference.parse(registry.reference(f"{repository}/base:1")), HOST)
    progress.events.clear()
    app = Image(manifest=found.manifest, config=found.config_bytes, layers=found.layers)
    push(client, app, registry.reference(f"{repository}/app:1"))
    transfers = [event for event in progress.events if isinstance(event, Transfer)]
    assert not any(event.action == "pull" for event in transfers)
    assert sum(event.note == f"mounted from {registry.reference(repository)}/base" for event in transfers) == 3


def test_what_is_there_is_not_sent_again(registry: LoopbackRegistry, repository: str, image: Image) -> None:
    progress = Recorded()
    client = registries(progress)
    push(client, image, registry.reference(f"{repository}:1"))
    progress.events.clear()
    push(client, image, registry.reference(f"{repository}:2"))
    assert [event.note for event in progress.events if isinstance(event, Transfer) and event.note] == ["exists"] * 3


def test_with_a_password(closed: LoopbackRegistry, repository: str, image: Image, tmp_path: Path) -> None:
    progress = Recorded()
    directory = closed.docker_config(tmp_path / "docker")
    name = closed.reference(f"{repository}:1")
    push(registries(progress, DOCKER_CONFIG=str(directory)), image, name)
    assert skopeo_inspect(f"docker://{name}", f"--creds={USER}:{PASSWORD}")["Digest"] == str(image.digest)
    variable = (directory / "config.json").read_text()
    client = registries(progress, DOCKER_AUTH_CONFIG=variable, HOME=str(tmp_path))
    assert resolve_image(client, Reference.parse(name), HOST).manifest == image.manifest
    entry = json.loads(variable)["auths"][closed.host]["auth"]
    assert PASSWORD not in repr(progress.events)
    assert entry not in repr(progress.events)


def test_without_a_password(closed: LoopbackRegistry, repository: str, tmp_path: Path) -> None:
    client, name = registries(HOME=str(tmp_path)), Reference.parse(closed.reference(f"{repository}:1"))
    for attempt in (lambda: client.check_permission(name), lambda: client.manifest(name)):
        with pytest.raises(RegistryError, match="401 Unauthorized: UNAUTHORIZED: authentication required") as caught:
            attempt()
        assert str(tmp_path / ".docker/config.json") in (caught.value.hint or "")


def test_with_a_wrong_password(closed: LoopbackRegistry, repository: str, tmp_path: Path) -> None:
    wrong = {"auths": {closed.host: {"username": USER, "password": "not the password"}}}
    (tmp_path / "config.json").write_text(json.dumps(wrong))
    client = registries(DOCKER_CONFIG=str(tmp_path))
    with pytest.raises(RegistryError, match="401") as caught:
        client.manifest(Reference.parse(closed.reference(f"{repository}:1")))
    assert f"{tmp_path}/config.json ({closed.host})" in (caught.value.hint or "")
    assert "not the password" not in str(caught.value)


def test_the_permission_check_leaves_no_upload_open(registry: LoopbackRegistry, repository: str) -> None:
    progress = Recorded()
    registries(progress).check_permission(Reference.parse(registry.reference(repository)))
    # the registry keeps the directory of a cancelled upload, but none that could be gone on with
    assert [path for path in registry.uploads() if repository in str(path) and (path / "startedat").exists()] == []
    assert registry.tags(repository) == []


def test_an_image_that_is_not_there(registry: LoopbackRegistry, repository: str) -> None:
    with pytest.raises(RegistryError, match="404 Not Found: MANIFEST_UNKNOWN") as caught:
        registries().manifest(Reference.parse(registry.reference(f"{repository}:none")))
    assert "the image does not exist" in (caught.value.hint or "")


def test_a_stalled_push_can_be_left(registry: LoopbackRegistry, repository: str, image: Image) -> None:
    with StallingProxy(registry.port, "upload", 1_000_000) as proxy:
        client = registries()
        with pytest.raises(KeyboardInterrupt), Pusher(client, Silent()) as pusher:
            for layer in image.layers:
                pusher.start(layer, Reference.parse(f"{proxy.host}/{repository}:1"))
            assert proxy.stalled.wait(30)
            raise KeyboardInterrupt
    assert registry.tags(repository) == []


def test_a_stalled_pull_ends(registry: LoopbackRegistry, repository: str, image: Image) -> None:
    push(registries(), image, registry.reference(f"{repository}:1"))
    with StallingProxy(registry.port, "download", 1_000_000) as proxy:
        policy = RegistryPolicy(backoff=Backoff(attempts=1), read_timeout=0.5)
        client = Registries(policy, DockerKeychain({}), Silent(), {})
        found = resolve_image(client, Reference.parse(f"{proxy.host}/{repository}:1"), HOST)
        with pytest.raises(ConnectionFailed, match="did not answer in time"), found.layers[1].source.open() as stream:
            stream.read()


def test_skopeo_and_podman_read_archives(tmp_path: Path, image: Image, containers: Podman) -> None:
    archive = tmp_path / "image.tar"
    write_docker_archive(archive, image, [Reference.parse("r.example/a/b:1"), Reference.parse("alpine:3")])
    assert skopeo_inspect(f"docker-archive:{archive}:r.example/a/b:1")["Labels"] == {"a": "b"}
    copy(f"docker-archive:{archive}:docker.io/library/alpine:3", f"oci:{tmp_path / 'copy'}:x")
    assert "r.example/a/b:1" in containers.load(archive)


def test_podman_loads_an_archive_without_a_name(tmp_path: Path, image: Image, containers: Podman) -> None:
    write_docker_archive(tmp_path / "image.tar", image, [])
    assert containers.inspect(containers.load(tmp_path / "image.tar"))["Config"]["Labels"] == {"a": "b"}


def test_skopeo_reads_layouts(tmp_path: Path, image: Image) -> None:
    write_oci_layout(tmp_path / "layout", image, [Reference.parse("r.example/a/b:1")])
    assert skopeo_inspect(f"oci:{tmp_path / 'layout'}")["Digest"] == str(image.digest)
    copy(f"oci:{tmp_path / 'layout'}", f"docker-archive:{tmp_path / 'copy.tar'}:x:1")
    read, names = read_docker_archive(tmp_path / "copy.tar")
    assert [str(name) for name in names] == ["index.docker.io/library/x:1"]
    assert json.loads(read.config)["rootfs"] == json.loads(image.config)["rootfs"]


def test_skopeo_finds_a_name_in_a_layout(tmp_path: Path) -> None:
    images = [make_image(BlobStore(tmp_path / "store")) for _ in range(2)]
    for number, image in enumerate(images):
        write_oci_layout(tmp_path / "layout", image, [Reference.parse(f"r.example:5000/a/b:{number}")])
    for number, image in enumerate(images):
        found = skopeo_inspect(f"oci:{tmp_path / 'layout'}:r.example:5000/a/b:{number}")
        assert found["Digest"] == str(image.digest)


def test_layouts_and_archives_of_skopeo_are_pushed(
    registry: LoopbackRegistry, repository: str, image: Image, tmp_path: Path
) -> None:
    push(registries(), image, registry.reference(f"{repository}:1"))
    source = f"docker://{registry.reference(repository)}:1"
    copy(source, f"oci:{tmp_path / 'layout'}:name", "--src-tls-verify=false")
    copy(source, f"docker-archive:{tmp_path / 'x.tar'}:r.example/x:1", "--src-tls-verify=false")
    ((name, laid_out),) = read_oci_layout(tmp_path / "layout")
    archived, names = read_docker_archive(tmp_path / "x.tar")
    assert (name, [str(each) for each in names]) == ("name", ["r.example/x:1"])
    for number, read in enumerate((laid_out, archived)):
        push(registries(), read, registry.reference(f"{repository}/again:{number}"))
        assert skopeo_inspect(f"docker://{registry.reference(repository)}/again:{number}")["Labels"] == {"a": "b"}


def copy(source: str, target: str, *options: str) -> None:
    done = subprocess.run(
        ["skopeo", "copy", "--quiet", "--insecure-policy", *options, source, target], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
