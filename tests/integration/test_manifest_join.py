"""``builder manifest``: images that are in registries joined under one name."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from support.builder import Builder
from support.containers import buildah_pull, skopeo_inspect
from support.images import Blob, Item, OciLayout, layer
from support.listing import list_image
from support.multiarch import Bases, push_layout
from support.registry import LoopbackRegistry

PLATFORMS = ("linux/amd64", "linux/arm64", "linux/arm/v7")
LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
INDEX = "application/vnd.oci.image.index.v1+json"
SUBJECT = "vnd.docker.reference.digest"
FLAGS = ("--insecure", "--insecure-pull")


@dataclass(frozen=True, slots=True)
class Project:
    """A repository with an image for each platform, and one command's index of them."""

    builder: Builder
    registry: LoopbackRegistry
    name: str
    context: Path

    def reference(self, tag: str) -> str:
        return f"{self.registry.reference(self.name)}:{tag}"

    def build(self, *options: str) -> None:
        self.builder.build(self.context, "--reproducible", *options).ok()

    def manifest(self, *arguments: str | Path) -> Any:
        return self.builder.run("manifest", *arguments[:1], *FLAGS, *arguments[1:])


@pytest.fixture(scope="module")
def project(
    request: pytest.FixtureRequest, multiarch: Bases, registry: LoopbackRegistry, session_directory: Path
) -> Iterator[Project]:
    builder = request.getfixturevalue("make_builder")("user", session_directory)
    context = builder.home / "context"
    context.mkdir()
    base = multiarch.files("base/joined:1", PLATFORMS)
    (context / "Dockerfile").write_text(f"FROM {base}\nARG TARGETPLATFORM\nCOPY file /\nLABEL is=$TARGETPLATFORM\n")
    (context / "file").write_text("content\n")
    found = Project(builder, registry, "test/joined", context)
    for text in PLATFORMS:
        tag = text.replace("/", "-")
        found.build(f"--platform={text}", f"--destination={found.reference(tag)}")
    found.build(f"--platform={','.join(PLATFORMS)}", f"--destination={found.reference('at-once')}")
    yield found


@pytest.fixture
def fresh(project: Project, repository: str) -> Project:
    """The same images, to be joined in a repository of its own."""
    return replace(project, name=repository)


def template(project: Project, text: str = "OS-ARCH-VARIANT") -> str:
    return f"--template={project.reference(text)}"


def test_parts_give_the_index_of_one_command(project: Project) -> None:
    target, digest = project.reference("joined"), project.registry.digest(project.name, "at-once")
    wanted = f"--platforms={','.join(PLATFORMS)}"
    outcome = project.manifest("push", "from-args", wanted, template(project), f"--target={target}", "--tags=a,b").ok()
    size = len(project.registry.get(f"{project.name}/manifests/{digest}", accept=INDEX)[0])
    assert outcome.stdout == f"Digest: {digest} {size}\n"
    assert {project.registry.digest(project.name, tag) for tag in ("joined", "a", "b")} == {digest}
    parts = [project.reference(text.replace("/", "-")) for text in PLATFORMS]
    project.manifest("create", project.reference("created"), *parts).ok()
    assert project.registry.digest(project.name, "created") == digest
    spec = {"image": project.reference("spec"), "tags": [1.5, "x"], "manifests": [{"image": part} for part in parts]}
    file = project.builder.home / "spec.yaml"
    file.write_text(json.dumps(spec))  # which is YAML, too
    project.manifest("push", "from-spec", file).ok()
    assert {project.registry.digest(project.name, tag) for tag in ("spec", "1.5", "x")} == {digest}


@pytest.mark.parametrize("where", ["the same registry", "another registry"])
def test_children_of_other_repositories(project: Project, fresh: Project, where: str, scratch: Path) -> None:
    """In the same registry blobs are mounted, so that nothing is uploaded; to another registry they are copied."""
    with LoopbackRegistry(access_log=True) as other:
        if where == "the same registry":
            bases = Bases(other, scratch)
            for text in PLATFORMS[:2]:
                bases.files(f"part:{text.replace('/', '-')}", [text])
            parts = [f"{other.reference('part')}:{text.replace('/', '-')}={text}" for text in PLATFORMS[:2]]
        else:
            parts = [project.reference(text.replace("/", "-")) for text in PLATFORMS[:2]]
        uploads = len([path for path in other.requests("PUT") if "blobs" in path])
        fresh.manifest("create", other.reference("new/name:1"), *parts).ok()
        uploaded = [path for path in other.requests("PUT") if "blobs" in path][uploads:]
        assert bool(uploaded) == (where == "another registry")
        index = other.manifest("new/name", "1")
        assert len(index["manifests"]) == 2
        for child, text in zip(index["manifests"], PLATFORMS, strict=False):
            assert list_image(other, "new/name", child["digest"]).text("for") == f"{text}\n"
        raw = skopeo_inspect(f"docker://{other.reference('new/name:1')}", "--raw")
        assert raw == index


def test_docker_images_give_a_docker_list(fresh: Project, multiarch: Bases) -> None:
    parts = {}
    for text, option in (("linux/amd64", "--format=v2s2"), ("linux/arm64", "--format=v2s2"), ("linux/s390x", "")):
        name = f"base/part-{text.replace('/', '-')}:1"
        parts[text] = f"{multiarch.files(name, [text], *([option] if option else []))}={text}"
    docker, arm, oci = parts.values()
    for tag, images, options, kind in (
        ("docker", (docker, arm), (), LIST),
        ("mixed", (docker, oci), (), INDEX),
        ("as-oci", (docker, arm), ("--format=oci",), INDEX),
        ("as-docker", (docker, oci), ("--type=docker",), LIST),
    ):
        fresh.manifest("create", fresh.reference(tag), *images, *options).ok()
        assert fresh.registry.manifest(fresh.name, tag)["mediaType"] == kind, tag
    refused = fresh.manifest("create", fresh.reference("never"), docker, arm, "--annotation=a=b")
    refused.failed("a Docker manifest list has no annotations(?s:.*)--format oci")
    annotated = fresh.manifest(
        "create", fresh.reference("annotated"), oci, "--annotation=index:a=b", "--annotation=c=d"
    )
    annotated.ok()
    assert fresh.registry.manifest(fresh.name, "annotated")["annotations"] == {"a": "b", "c": "d"}


def test_amending(project: Project, fresh: Project) -> None:
    amd64, arm64, arm = (project.reference(text.replace("/", "-")) for text in PLATFORMS)
    target = fresh.reference("1")
    fresh.manifest("create", "--amend", target, amd64, "--annotation=a=b").ok()  # there is nothing yet
    fresh.manifest("create", "--amend", target, arm64).ok()
    fresh.manifest("create", "--amend", target, f"{arm}=linux/arm/v6", amd64).ok()
    index = fresh.registry.manifest(fresh.name, "1")
    assert [child["platform"] for child in index["manifests"]] == [
        {"architecture": "arm64", "os": "linux"},
        {"architecture": "arm", "os": "linux", "variant": "v6"},
        {"architecture": "amd64", "os": "linux"},
    ]
    assert index["annotations"] == {"a": "b"}
    fresh.manifest("create", target, arm64).ok()
    assert len(fresh.registry.manifest(fresh.name, "1")["manifests"]) == 1
    fresh.manifest("create", "--amend", arm64, amd64).failed("is an image and no index")


def attested(registry: LoopbackRegistry, scratch: Path, name: str, platforms: list[str]) -> str:
    """An index as buildx pushes it: images, and an attestation about each."""
    layout = OciLayout(scratch / name.replace("/", "-").replace(":", "-"))
    images, attestations = [], []
    for text in platforms:
        architecture = text.split("/")[1]
        image = layout.image([Blob.of(layer([Item(path="for", data=text.encode())]))], {}, architecture)
        statement = layout.image([Blob.of(text.encode())], {}, "unknown")
        about = {SUBJECT: image["digest"], "vnd.docker.reference.type": "attestation-manifest"}
        images.append(image)
        attestations.append(
            statement | {"platform": {"architecture": "unknown", "os": "unknown"}, "annotations": about}
        )
    layout.tag(layout.index([*images, *attestations]), "index")
    return push_layout(layout.path, "index", registry, name, "--all")


def test_attestations_are_kept(fresh: Project, scratch: Path) -> None:
    """Those about the images that are joined, and no others; the images go before them."""
    one = attested(fresh.registry, scratch, f"{fresh.name}-one:1", ["linux/amd64"])
    two = attested(fresh.registry, scratch, f"{fresh.name}-two:1", ["linux/arm64", "linux/s390x"])
    fresh.manifest("create", fresh.reference("1"), one, f"{two}=linux/arm64").ok()
    entries = fresh.registry.manifest(fresh.name, "1")["manifests"]
    assert [entry["platform"]["architecture"] for entry in entries] == ["amd64", "arm64", "unknown", "unknown"]
    assert [entry["annotations"][SUBJECT] for entry in entries[2:]] == [entry["digest"] for entry in entries[:2]]
    for entry in entries:
        assert fresh.registry.manifest(fresh.name, entry["digest"])["layers"]
    fresh.manifest("create", "--amend", fresh.reference("1"), f"{two}=linux/s390x", f"{two}=linux/arm64").ok()
    entries = fresh.registry.manifest(fresh.name, "1")["manifests"]
    assert len(entries) == 6
    images = {entry["digest"] for entry in entries if entry["platform"]["os"] == "linux"}
    assert {entry["annotations"][SUBJECT] for entry in entries if entry["platform"]["os"] == "unknown"} == images
    assert buildah_pull(fresh.reference("1"))
    listing = fresh.manifest("inspect", fresh.reference("1")).ok().stdout
    assert listing.count("attestation of sha256:") == 3
    several = fresh.manifest("create", fresh.reference("2"), two)
    several.failed("is itself an index, of 2 images: linux/arm64, linux/s390x(?s:.*)IMAGE=OS/ARCH")
    absent = fresh.manifest("create", fresh.reference("2"), f"{two}=linux/riscv64")
    absent.failed("an index without an image for linux/riscv64; it has linux/arm64, linux/s390x")


def test_windows_images_keep_their_version(fresh: Project, multiarch: Bases, scratch: Path) -> None:
    file = scratch / "spec.yaml"
    base = multiarch.files(f"{fresh.name}-windows:1", ["linux/amd64"])
    platform = "{os: windows, architecture: amd64, os.version: 10.0.17763.2300, features: [win32k]}"
    other = "{os: windows, architecture: amd64, osversion: 10.0.14393.4770}"
    entries = f"  - image: {base}@DIGEST\n    platform: {platform}\n  - image: {base}@DIGEST\n    platform: {other}\n"
    digest = fresh.registry.manifest(f"{fresh.name}-windows", "1")["manifests"][0]["digest"]
    file.write_text(f"image: {fresh.reference('1')}\nmanifests:\n{entries.replace('DIGEST', digest)}")
    fresh.manifest("push", "from-spec", file).ok()
    found = [child["platform"] for child in fresh.registry.manifest(fresh.name, "1")["manifests"]]
    assert [each["os.version"] for each in found] == ["10.0.17763.2300", "10.0.14393.4770"]
    assert found[0]["os.features"] == ["win32k"]


def test_what_is_missing(project: Project, fresh: Project) -> None:
    wanted, target = "--platforms=linux/amd64,linux/s390x", f"--target={fresh.reference('1')}"
    fresh.manifest("push", "from-args", wanted, template(project), target).failed("linux-s390x: .*404")
    assert fresh.registry.tags(fresh.name) == []
    outcome = fresh.manifest("push", "from-args", wanted, template(project), target, "--ignore-missing").ok()
    assert "linux-s390x" in outcome.stderr
    assert "left out" in outcome.stderr
    assert len(fresh.registry.manifest(fresh.name, "1")["manifests"]) == 1
    none = ["--platforms=linux/s390x", template(project), f"--target={fresh.reference('2')}", "--ignore-missing"]
    fresh.manifest("push", "from-args", *none).failed("none of the images(?s:.*) exists")
    assert fresh.registry.tags(fresh.name) == ["1"]


def test_a_registry_that_cannot_be_reached_is_not_missing(fresh: Project) -> None:
    lost = ["--platforms=linux/s390x", "--template=127.0.0.1:1/a:ARCH", f"--target={fresh.reference('2')}"]
    fresh.manifest("push", "from-args", *lost, "--ignore-missing").failed("127.0.0.1:1")


def test_inspecting(project: Project) -> None:
    digest = project.registry.digest(project.name, "at-once")
    raw = project.manifest("inspect", "--raw", project.reference("at-once")).ok().stdout
    assert raw.encode() == project.registry.get(f"{project.name}/manifests/{digest}", accept=INDEX)[0]
    listing = project.manifest("inspect", project.reference("at-once")).ok().stdout
    assert digest in listing
    assert [text for text in PLATFORMS if f" {text}\n" in listing] == list(PLATFORMS)
    image = project.manifest("inspect", project.reference("linux-amd64")).ok().stdout
    assert "Layers:" in image
    project.manifest("inspect", project.reference("never")).failed("never: .*404")


def test_two_images_for_one_platform(project: Project, fresh: Project) -> None:
    parts = [f"{project.reference(tag)}=linux/arm64" for tag in ("linux-amd64", "linux-arm64")]
    fresh.manifest("create", fresh.reference("1"), *parts).failed(
        "two images for linux/arm64: .*linux-amd64.*linux-arm64"
    )


def test_no_image(fresh: Project, scratch: Path) -> None:
    """An artifact whose config is no image's says no platform."""
    config = scratch / "config"
    config.write_text("[]")
    layout = OciLayout(scratch / "artifact")
    manifest = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": {"mediaType": "application/x", "digest": layout.add(b"[]"), "size": 2},
        "layers": [],
    }
    data = json.dumps(manifest).encode()
    descriptor = {"mediaType": manifest["mediaType"], "digest": layout.add(data), "size": len(data)}
    layout.tag(descriptor, "artifact")
    name = push_layout(layout.path, "artifact", fresh.registry, f"{fresh.name}-artifact:1")
    fresh.manifest("create", fresh.reference("1"), name).failed("is no image")
