"""``--provenance``: an attestation of how each image was built, in the index with it."""

from __future__ import annotations

import json
import tarfile
from typing import Any

import pytest
from support.builder import Builder
from support.containers import Podman, buildah_pull, skopeo_inspect
from support.contexts import MakeContext
from support.listing import host_architecture, list_image
from support.multiarch import Bases
from support.registry import LoopbackRegistry

PLATFORMS = (f"linux/{host_architecture()}", "linux/s390x")
DOCKERFILE = """\
ARG BASE
FROM ${BASE} AS build
ARG SECRET
COPY file /
"""


def statements(registry: LoopbackRegistry, name: str, tag: str) -> list[dict[str, Any]]:
    """The statements of an index, each checked to be about the image with its number."""
    entries = registry.manifest(name, tag)["manifests"]
    images, about = entries[: len(entries) // 2], entries[len(entries) // 2 :]
    found = []
    for image, entry in zip(images, about, strict=True):
        assert entry["platform"] == {"architecture": "unknown", "os": "unknown"}
        assert entry["annotations"]["vnd.docker.reference.digest"] == image["digest"]
        assert entry["annotations"]["vnd.docker.reference.type"] == "attestation-manifest"
        (layer,) = registry.manifest(name, entry["digest"])["layers"]
        assert layer["mediaType"] == "application/vnd.in-toto+json"
        statement = json.loads(registry.blob(name, layer["digest"]))
        assert layer["annotations"]["in-toto.io/predicate-type"] == statement["predicateType"]
        assert [each["digest"]["sha256"] for each in statement["subject"]] == [image["digest"].partition(":")[2]]
        found.append(statement)
    return found


def test_several_platforms(
    user_builder: Builder, registry: LoopbackRegistry, repository: str, make_context: MakeContext, multiarch: Bases
) -> None:
    base = multiarch.files("base/provenance:1", PLATFORMS)
    context, target = make_context({"Dockerfile": DOCKERFILE, "file": "content\n"}), registry.reference(repository)
    build = [f"--platform={','.join(PLATFORMS)}", f"--build-arg=BASE={base}", "--build-arg=SECRET=hunter2"]
    attest = "--provenance=mode=min,builder-id=https://ci.example.com/1"
    digests = set()
    for _ in range(2):
        user_builder.build(context, *build, attest, "--reproducible", f"--destination={target}:1").ok()
        digests.add(registry.digest(repository, "1"))
    assert len(digests) == 1
    index = registry.manifest("base/provenance", "1")
    for statement, text, child in zip(
        statements(registry, repository, "1"), PLATFORMS, index["manifests"], strict=True
    ):
        predicate = statement["predicate"]
        assert predicate["builder"] == {"id": "https://ci.example.com/1"}
        assert predicate["invocation"]["configSource"] == {"entryPoint": "Dockerfile"}
        assert predicate["invocation"]["environment"] == {"platform": PLATFORMS[0]}
        (material,) = predicate["materials"]
        assert material["digest"]["sha256"] == child["digest"].partition(":")[2]
        assert "base/provenance" in material["uri"]
        assert material["uri"].endswith(f"?platform={text.replace('/', '%2F')}")
        assert predicate["metadata"]["buildStartedOn"] == "1970-01-01T00:00:00Z"
        assert "hunter2" not in json.dumps(statement)


def test_one_platform(
    user_builder: Builder,
    registry: LoopbackRegistry,
    repository: str,
    make_context: MakeContext,
    busybox: dict[str, str],
    containers: Podman,
) -> None:
    """The image is in an index with its attestation, OCI though its base is Docker's; others read it as ever."""
    context, target = make_context({"Dockerfile": DOCKERFILE, "file": "x\n"}), f"{registry.reference(repository)}:1"
    out = user_builder.home
    options = [f"--tar-path={out}/image.tar", f"--oci-layout-path={out}/layout", f"--destination={target}"]
    user_builder.build(context, f"--build-arg=BASE={busybox['docker']}", "--provenance=true", *options).ok()
    (statement,) = statements(registry, repository, "1")
    assert statement["predicate"]["metadata"]["buildStartedOn"] > "2020"
    assert list_image(registry, repository, "1").text("file") == "x\n"
    assert "oci" in registry.manifest(repository, "1")["mediaType"]
    assert containers.run(target, "cat", "/file") == "x\n"
    assert skopeo_inspect(f"docker://{target}")["Architecture"] == host_architecture()
    assert buildah_pull(target)
    with tarfile.open(out / "image.tar") as archive:
        entries = json.loads(archive.extractfile("manifest.json").read())  # type: ignore[union-attr]
    assert len(entries) == 1
    user_builder.run("push", out / "layout", "--insecure", f"--destination={registry.reference(repository)}:again").ok()
    assert registry.digest(repository, "again") == registry.digest(repository, "1")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--provenance=max"], "--provenance=max is not supported"),
        (["--provenance=mode=max"], "--provenance=max is not supported"),
        (["--provenance=some"], "--provenance is false, min or mode=min"),
        (["--provenance=min", "--image-format=docker"], "--provenance cannot be combined with --image-format=docker"),
    ],
)
def test_what_cannot_be_attested(
    options: list[str], message: str, user_builder: Builder, make_context: MakeContext
) -> None:
    user_builder.build(make_context({"Dockerfile": "FROM scratch\n"}), "--no-push", *options).failed(message)


def test_none_by_default(
    user_builder: Builder, registry: LoopbackRegistry, repository: str, make_context: MakeContext
) -> None:
    context, target = (
        make_context({"Dockerfile": "FROM scratch\nCOPY file /\n", "file": ""}),
        registry.reference(repository),
    )
    user_builder.build(context, "--provenance=false", f"--destination={target}:1").ok()
    assert "layers" in registry.manifest(repository, "1")
