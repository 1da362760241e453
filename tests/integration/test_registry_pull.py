"""Pulls from docker-registry through mirrors, faults and lies, and of layers that are somewhere else."""

from __future__ import annotations

import contextlib
import gzip
import http.server
import json
import threading
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import pytest
from support.builder import Builder
from support.contexts import MakeContext
from support.fault_proxy import Fault, FaultProxy, once
from support.images import Item, layer
from support.registry import LoopbackRegistry
from support.stalling_proxy import StallingProxy
from test_registry_faults import make_image, push, warnings

from builder.digest import Digest
from builder.errors import BuilderError, DigestMismatch
from builder.image import media_types
from builder.image.descriptor import Descriptor
from builder.image.manifest import Index, Manifest
from builder.image.media_types import Family
from builder.image.platform import Platform
from builder.image.reference import Reference
from builder.progress import Recorded
from builder.registry.client import Registries
from builder.registry.errors import Cancelled, ConnectionFailed, RegistryError
from builder.registry.keychain import DockerKeychain
from builder.registry.policy import Backoff, RegistryPolicy
from builder.registry.pull import resolve_image
from builder.storage.blob import Blob, MemoryBlob
from builder.storage.image import Image

HOST = Platform.host()
SIZE = 3_000_000
ZERO = f"/v2/pulled/image/blobs/sha256:{'0' * 64}"


@pytest.fixture(scope="module")
def image(registry: LoopbackRegistry) -> Image:
    """An image ``pulled/image:1`` with one large layer."""
    made = make_image(SIZE)
    push(made, f"{registry.host}/pulled/image:1")
    return made


def registries(progress: Recorded | None = None, attempts: int = 4, **policy: Any) -> Registries:
    backoff = Backoff(attempts=attempts, base=0.01, longest=2.0)
    return Registries(RegistryPolicy(backoff=backoff, **policy), DockerKeychain({}), progress or Recorded(), {})


def read_layer(client: Registries, reference: str, image: Image) -> bytes:
    with client.open_blob(Reference.parse(reference), image.manifest.layers[0]) as stream:
        return b"".join(iter(lambda: stream.read(1 << 16), b""))


def content(image: Image) -> bytes:
    source = image.layers[0].source
    assert isinstance(source, MemoryBlob)
    return source.data


# --- Blobs that break off, end early or are not what they should be ------------------------------------------------


def test_a_blob_goes_on_where_it_broke_off(registry: LoopbackRegistry, image: Image) -> None:
    faults = [Fault(truncate=700_001), Fault(reset_download=900_001), Fault(status=503), Fault(truncate=800_001)]
    with FaultProxy(registry.port, once(lambda passing: passing.downloads, *faults)) as proxy:
        data = read_layer(registries(), f"{proxy.host}/pulled/image", image)
    assert data == content(image)
    starts = [int(each.headers.get("range", "bytes=0-")[6:-1]) for each in proxy.passed if each.downloads]
    assert starts == sorted(starts)
    assert starts[-1] > 1_300_000  # of what comes with a reset, much may be lost on the way
    assert len(starts) == 5


@pytest.mark.parametrize("path", ["manifests", pytest.param("blobs", marks=pytest.mark.exhaustive)])
def test_too_many_requests(registry: LoopbackRegistry, image: Image, path: str) -> None:
    plan = once(lambda passing: path in passing.path, Fault(status=429, headers={"Retry-After": "1"}))
    with FaultProxy(registry.port, plan) as proxy:
        found = resolve_image(registries(), Reference.parse(f"{proxy.host}/pulled/image:1"), HOST)
    assert found.manifest == image.manifest


@pytest.mark.parametrize(
    ("fault", "kind", "message"),
    [
        (Fault(corrupt=True), DigestMismatch, "has the wrong content: its digest is sha256:"),
        (Fault(truncate=1000), ConnectionFailed, "broke off|after 1000 of"),
        (Fault(status=200, body=b"x" * 1000), DigestMismatch, "wrong size: 1000 bytes come where 3000"),
        (Fault(status=200, body=bytes(SIZE + 5000)), DigestMismatch, "wrong size"),
        (Fault(status=404, body=b"<html>nginx</html>"), RegistryError, "404 Not Found"),
        (Fault(status=307, headers={"Location": ZERO}), RegistryError, "redirects more than 10 times"),
    ],
    ids=["corrupt", "truncated", "short", "long", "missing", "circle"],
)
def test_what_is_not_the_blob(
    registry: LoopbackRegistry, image: Image, fault: Fault, kind: type[BuilderError], message: str
) -> None:
    with FaultProxy(registry.port, lambda passing: fault if passing.downloads else None) as proxy:
        with pytest.raises(kind, match=message) as caught:
            read_layer(registries(), f"{proxy.host}/pulled/image", image)
    assert proxy.host in caught.value.message
    assert len(proxy.passed) < 15


def schema1(name: str) -> Fault:
    document = {"schemaVersion": 1, "name": name, "tag": "1", "fsLayers": [], "history": [], "signatures": []}
    kind = "application/vnd.docker.distribution.manifest.v1+prettyjws"
    return Fault(status=200, body=json.dumps(document).encode(), headers={"Content-Type": kind})


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (schema1("pulled/image"), "is a Docker image manifest of schema 1"),
        (Fault(status=200, body=b" " * (4 * 1024 * 1024 + 1)), "larger than 4194304 bytes"),
        (Fault(status=200, body=b"<html>log in</html>", headers={"Content-Type": "text/html"}), "not JSON"),
        (Fault(status=200, body=b"{}", headers={"Docker-Content-Digest": f"sha256:{'0' * 64}"}), "the wrong content"),
        (Fault(status=302, headers={"Location": "/v2/pulled/image/manifests/1"}), "redirects more than 10 times"),
    ],
    ids=["schema 1", "large", "html", "digest", "circle"],
)
def test_what_is_no_manifest(
    user_builder: Builder, registry: LoopbackRegistry, make_context: MakeContext, fault: Fault, message: str
) -> None:
    context = make_context({"Dockerfile": "ARG BASE\nFROM ${BASE}\n"})
    with FaultProxy(registry.port, lambda passing: fault if "/manifests/" in passing.path else None) as proxy:
        base = f"{proxy.host}/pulled/image:1"
        outcome = user_builder.build(context, "--no-push", f"--build-arg=BASE={base}").failed(message)
    assert proxy.host in outcome.stderr


# --- Mirrors -------------------------------------------------------------------------------------------------------


def test_a_mirror_that_dies_in_the_middle_of_a_blob(registry: LoopbackRegistry, image: Image) -> None:
    """The registry itself goes on where the mirror stopped."""
    progress = Recorded()
    plan = lambda passing: Fault(truncate=0 if "range" in passing.headers else 1_000_000)  # noqa: E731
    with FaultProxy(registry.port, lambda p: plan(p) if p.downloads else None) as mirror:
        with FaultProxy(registry.port, lambda passing: None) as origin:
            client = registries(progress, maps={origin.host: (mirror.host,)})
            assert read_layer(client, f"{origin.host}/pulled/image", image) == content(image)
    (asked,) = [passing for passing in origin.passed if passing.downloads]
    assert int(asked.headers["range"][6:-1]) >= 900_000
    assert any("trying the next place" in text for text in warnings(progress))


def test_a_mirror_that_is_not_there_is_asked_once(registry: LoopbackRegistry, image: Image) -> None:
    progress = Recorded()
    client = registries(progress, maps={registry.host: ("127.0.0.1:1/mirror",)})
    found = resolve_image(client, Reference.parse(f"{registry.host}/pulled/image:1"), HOST)
    with found.layers[0].source.open() as stream:
        assert Digest.of(b"".join(iter(lambda: stream.read(1 << 16), b""))) == image.manifest.layers[0].digest
    assert sum("127.0.0.1:1" in text for text in warnings(progress)) == 1


def test_a_build_by_a_map_with_a_path(
    user_builder: Builder, registry: LoopbackRegistry, busybox: dict[str, str], make_context: MakeContext
) -> None:
    """The registry that is named does not exist; the map puts another host and path in its place."""
    tag = busybox["oci"].rpartition(":")[2]
    context = make_context({"Dockerfile": f"FROM no-such-host.invalid/hub/busybox:{tag}\nRUN true\n"})
    mapping = f"--registry-map=no-such-host.invalid/hub={registry.host}/base"
    user_builder.build(context, "--no-push", mapping, "--skip-default-registry-fallback").ok()


# --- Once ----------------------------------------------------------------------------------------------------------


def test_a_manifest_is_fetched_once(
    user_builder: Builder, registry: LoopbackRegistry, busybox: dict[str, str], make_context: MakeContext
) -> None:
    with FaultProxy(registry.port, lambda passing: None) as proxy:
        name = busybox["index"].replace(registry.host, proxy.host)
        digest = registry.digest("base/busybox", "index")
        dockerfile = (
            f"FROM {name} AS one\nRUN true\nFROM {name}@{digest} AS two\nCOPY --from={name} /bin/sh /sh\n"
            f"FROM {name.rpartition(':')[0]}@{digest}\nCOPY --from=one /etc /etc1\nCOPY --from=two /sh /sh2\n"
        )
        user_builder.build(make_context({"Dockerfile": dockerfile}), "--no-push").ok()
    asked = [str(passing) for passing in proxy.passed if "/manifests/" in passing.path]
    assert len(asked) == len(set(asked))
    by_tag, by_digest = "GET /v2/base/busybox/manifests/index", f"GET /v2/base/busybox/manifests/{digest}"
    assert asked.count(by_tag) + asked.count(by_digest) <= 2  # under its tag and, asked for side by side, its digest


# --- Indexes -------------------------------------------------------------------------------------------------------


def test_an_index_of_an_index_by_tag_and_digest(registry: LoopbackRegistry, image: Image) -> None:
    client, name = registries(), f"{registry.host}/pulled/image"
    child = replace(image.descriptor, platform=HOST)
    inner = Index(family=Family.OCI, manifests=(child,)).to_bytes()
    client.push_manifest(Reference.parse(f"{name}:inner"), media_types.OCI_INDEX, inner)
    outer = Index(family=Family.OCI, manifests=(Descriptor.of(media_types.OCI_INDEX, inner),)).to_bytes()
    digest = client.push_manifest(Reference.parse(f"{name}:outer"), media_types.OCI_INDEX, outer)
    for reference in (f"{name}:outer", f"{name}:outer@{digest}", f"{name}@{digest}"):
        assert resolve_image(registries(), Reference.parse(reference), HOST).reference.digest == image.digest


# --- Foreign layers ------------------------------------------------------------------------------------------------


class ForeignRegistry(LoopbackRegistry):
    """A registry that takes manifests with URLs, which this one does not unless it is told to."""

    def _configuration(self) -> dict[str, Any]:
        allowed = {"manifests": {"urls": {"allow": [".*"]}}}
        return {**super()._configuration(), "validation": allowed}


@pytest.mark.parametrize(
    "family", [pytest.param(Family.OCI, marks=pytest.mark.exhaustive), Family.DOCKER], ids=lambda family: family.value
)
def test_a_foreign_layer_comes_from_its_url_and_stays_foreign(
    user_builder: Builder,
    busybox: dict[str, str],
    make_context: MakeContext,
    family: Family,
) -> None:
    foreign = gzip.compress(layer([Item(path="foreign", data=b"from elsewhere")]), mtime=0)
    kind = media_types.DOCKER_LAYER_FOREIGN if family is Family.DOCKER else media_types.OCI_LAYER_FOREIGN
    with serving({"/layer": foreign}) as (host, asked), ForeignRegistry() as strict:
        descriptor = replace(Descriptor.of(kind, foreign), urls=(f"http://{host}/gone", f"http://{host}/layer"))
        base = foreign_image(busybox[family.value], descriptor, gzip.decompress(foreign))
        push(base, f"{strict.host}/base:1")
        assert asked == []
        dockerfile = f"FROM {strict.host}/base:1\nRUN grep -q elsewhere /foreign && echo new > /new\n"
        user_builder.build(make_context({"Dockerfile": dockerfile}), f"--destination={strict.host}/app:1").ok()
        layers = strict.manifest("app", "1")["layers"]
        (kept,) = [each for each in layers if each["digest"] == str(descriptor.digest)]
        assert (kept["mediaType"], kept["urls"]) == (kind, list(descriptor.urls))
        assert not strict.blob_file(str(descriptor.digest)).exists()
    assert asked[0] == "/gone"
    assert set(asked[1:]) == {"/layer"}


def foreign_image(base: str, descriptor: Descriptor, tar: bytes) -> Image:
    """The base with a foreign layer on top."""
    found = resolve_image(registries(), Reference.parse(base), HOST)
    config = json.loads(found.config_bytes)
    config["rootfs"]["diff_ids"].append(str(Digest.of(tar)))
    config.pop("history", None)
    data = json.dumps(config).encode()
    blobs = (*found.layers, Blob(descriptor=descriptor, source=MemoryBlob(b"not to be pushed")))
    manifest = Manifest(
        family=found.manifest.family,
        config=Descriptor.of(found.manifest.family.config, data),
        layers=(*found.manifest.layers, descriptor),
    )
    return Image(manifest=manifest, config=data, layers=blobs)


@contextlib.contextmanager
def serving(files: Mapping[str, bytes]) -> Iterator[tuple[str, list[str]]]:
    """A web server of these files; yields its host and the paths that were asked for."""
    asked: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            assert "Authorization" not in self.headers
            body = files.get(self.path)
            self.send_response(404 if body is None else 200)
            self.end_headers()
            self.wfile.write(body or b"")

        def log_message(self, *_: object) -> None:
            return

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"127.0.0.1:{server.server_address[1]}", asked
        server.shutdown()


# --- Stopping ------------------------------------------------------------------------------------------------------


def test_a_stalled_pull_is_let_go_of_when_the_build_stops(registry: LoopbackRegistry, image: Image) -> None:
    """It would wait for a minute, and then try again."""
    client, ended = registries(), list[BaseException]()

    def pull(name: str) -> None:
        try:
            read_layer(client, name, image)
        except BaseException as error:
            ended.append(error)

    with StallingProxy(registry.port, "download", 1_000_000) as proxy:
        thread = threading.Thread(target=pull, args=(f"{proxy.host}/pulled/image",), daemon=True)
        thread.start()
        assert proxy.stalled.wait(30)
        client.stop()
        thread.join(30)
        assert not thread.is_alive()
    assert [type(error) for error in ended] == [Cancelled]
