"""One command, several platforms: what is shared, what is not, and the index that comes of it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from support.builder import Builder
from support.contexts import MakeContext
from support.leftovers import nothing_left
from support.listing import host_architecture, list_image
from support.multiarch import SHARED, SIX, Bases, platform
from support.registry import LoopbackRegistry

INDEX = "application/vnd.oci.image.index.v1+json"
LINKED = """\
ARG BASE
FROM ${BASE}
ARG TARGETPLATFORM TARGETOS TARGETARCH TARGETVARIANT BUILDPLATFORM BUILDOS BUILDARCH BUILDVARIANT
COPY --link file /copied
LABEL target=$TARGETPLATFORM parts=$TARGETOS,$TARGETARCH,$TARGETVARIANT
LABEL build=$BUILDPLATFORM build.parts=$BUILDOS,$BUILDARCH,$BUILDVARIANT
"""


def children(index: dict[str, Any]) -> list[str]:
    """The platforms of an index, in its order."""
    found = [child["platform"] for child in index["manifests"]]
    return [
        "/".join([each["os"], each["architecture"], *([each["variant"]] if "variant" in each else [])])
        for each in found
    ]


@pytest.fixture(scope="module")
def six(multiarch: Bases) -> str:
    """A base for six platforms."""
    return multiarch.files("base/six:1", SIX)


def test_six_platforms_without_emulator_or_download(
    user_builder: Builder, scratch: Path, make_context: MakeContext
) -> None:
    """COPY --link alone: the base's layers stay where they are, and nothing is ever run."""
    with LoopbackRegistry(access_log=True) as registry:
        base = Bases(registry, scratch).files("base/six:1", SIX)
        layers = {
            layer["digest"]
            for child in registry.manifest("base/six", "1")["manifests"]
            for layer in registry.manifest("base/six", child["digest"])["layers"]
        }
        context = make_context({"Dockerfile": LINKED, "file": "content\n"})
        confined = Builder(
            python=user_builder.python,
            home=user_builder.home,
            state=user_builder.state,
            account=user_builder.account,
            no_user_namespaces=True,
        )
        before = len(registry.requests("GET"))
        target = registry.reference("six/app:1")
        with nothing_left(confined.state, context):
            confined.build(context, f"--platform={','.join(SIX)}", f"--build-arg=BASE={base}", "-d", target).ok()
        asked = registry.requests("GET")[before:]
        assert len(layers) == len(SIX)
        assert not [path for path in asked if any(layer in path for layer in layers)]
        index = registry.manifest("six/app", "1")
        assert children(index) == list(SIX)
        assert index["mediaType"] == INDEX
        assert registry.tags("six/app") == ["1"]
        for child, text in zip(index["manifests"], SIX, strict=True):
            image = list_image(registry, "six/app", child["digest"])
            assert image.text("for") == f"{text}\n"
            assert image.text("copied") == "content\n"
            assert image.config["architecture"] == platform(text)["architecture"]
            labels = image.config["config"]["Labels"]
            parts = platform(text)
            assert labels["target"] == text
            assert labels["parts"] == f"linux,{parts['architecture']},{parts.get('variant', '')}"
            assert labels["build"] == f"linux/{host_architecture()}"
            assert labels["build.parts"] == f"linux,{host_architecture()},"


def test_what_does_not_depend_on_the_platform_is_done_once(
    builder: Builder,
    registry: LoopbackRegistry,
    repository: str,
    make_context: MakeContext,
    six: str,
    busybox: dict[str, str],
) -> None:
    context = make_context({"Dockerfile": SHARED})
    wanted = ("linux/arm64", "linux/arm/v7", "linux/s390x")
    options = [f"--build-arg=BASE={six}", f"--build-arg=TOOLS={busybox['oci']}", "--build-arg=WHO=someone"]
    command = [*(f"--platform={each}" for each in wanted), *options, "--progress=plain"]
    builder = builder.with_environment(CI="")  # with the local cache
    with nothing_left(builder.state, context):
        outcome = builder.build(context, *command, f"--destination={registry.reference(repository)}:1").ok()
        builder.build(context, *command, f"--destination={registry.reference(repository)}:again").ok()
    images, again = (
        [list_image(registry, repository, child["digest"]) for child in registry.manifest(repository, tag)["manifests"]]
        for tag in ("1", "again")
    )
    assert [image.text("for") for image in images] == [f"{each}\n" for each in wanted]
    for name, times in (("once", 1), ("each", 3), ("more", 3), ("same", 1)):
        assert len({image.text(name) for image in images}) == times, name
    for name in ("once", "each", "more", "same", "seen", "for"):  # from the cache: what is whose is not confused
        assert [image.text(name) for image in again] == [image.text(name) for image in images], name
    architectures = [platform(each)["architecture"] for each in wanted]
    assert [image.text("seen") for image in images] == [f"yes someone {each}\n" for each in architectures]
    steps = set(re.findall(r"(?m)^(\[.*?\]) (?:FROM|RUN|COPY)", outcome.stderr))
    here = f"linux/{host_architecture()}"
    assert f"[{here} tools 2/3]" in steps
    assert f"[{here}->arm tools 3/3]" in steps
    assert f"[{here} same 2/2]" in steps
    assert "[linux/s390x stage-3 4/4]" in steps
    assert f"[{here}->arm64 tools 2/3]" not in steps


def test_a_shared_stage_may_be_exported(
    user_builder: Builder,
    registry: LoopbackRegistry,
    repository: str,
    make_context: MakeContext,
    busybox: dict[str, str],
) -> None:
    """The first part of a stage has layers in every image; history and config are as if it had never been cut."""
    text = (
        f"FROM --platform=$BUILDPLATFORM {busybox['oci']}\nONBUILD RUN true\nRUN echo $RANDOM > /once\n"
        'ENTRYPOINT ["own"]\nCMD ["own"]\nARG TARGETARCH\nENTRYPOINT ["other"]\nRUN echo $TARGETARCH > /each\n'
    )
    context, target = make_context({"Dockerfile": text}), registry.reference(repository)
    user_builder.build(context, "--platform=linux/arm64,linux/s390x", f"--destination={target}:two").ok()
    user_builder.build(context, "--platform=linux/arm64", f"--destination={target}:one").ok()
    alone = list_image(registry, repository, "one")
    index = registry.manifest(repository, "two")
    images = [list_image(registry, repository, child["digest"]) for child in index["manifests"]]
    assert [image.text("each") for image in images] == ["arm64\n", "s390x\n"]
    assert images[0].text("once") == images[1].text("once")
    assert images[0].manifest["layers"][:-1] == images[1].manifest["layers"][:-1]
    for key in ("Cmd", "Entrypoint", "OnBuild", "Env"):
        assert images[0].config["config"].get(key) == alone.config["config"].get(key), key
    wording = [[entry.get("created_by") for entry in each.config["history"]] for each in (images[0], alone)]
    assert wording[0] == wording[1]


def test_outputs(
    user_builder: Builder,
    registry: LoopbackRegistry,
    repository: str,
    make_context: MakeContext,
    six: str,
    scratch: Path,
) -> None:
    """Several destinations, a layout, and the files that tell the digest, which is the index's."""
    context = make_context({"Dockerfile": LINKED, "file": "content\n"})
    target, out = registry.reference(repository), user_builder.home / "out"
    user_builder.build(
        context,
        "--platform=linux/amd64,linux/arm64/v8",
        f"--build-arg=BASE={six}",
        f"--destination={target}:1",
        f"--destination={target}:2",
        f"--destination={target}-too:1",
        f"--oci-layout-path={out}/layout",
        f"--digest-file={out}/digest",
        f"--image-name-tag-with-digest-file={out}/names",
        f"--metadata-file={out}/metadata.json",
        "--annotation=index:of=index",
        "--annotation=of=manifest",
        "--annotation=manifest-descriptor[linux/arm64]:of=descriptor",
    ).ok()
    digest = registry.digest(repository, "1")
    assert {registry.digest(repository, "2"), registry.digest(f"{repository}-too", "1")} == {digest}
    assert (out / "digest").read_text() == digest
    assert (out / "names").read_text() == f"{target}:1@{digest}\n{target}:2@{digest}\n{target}-too:1@{digest}\n"
    metadata = json.loads((out / "metadata.json").read_text())
    assert metadata["containerimage.digest"] == metadata["containerimage.descriptor"]["digest"] == digest
    assert metadata["containerimage.descriptor"]["mediaType"] == INDEX
    assert metadata["image.name"] == f"{target}:1,{target}:2,{target}-too:1"
    assert "containerimage.config.digest" not in metadata
    index = registry.manifest(repository, "1")
    assert index["annotations"] == {"of": "index"}
    assert [child.get("annotations") for child in index["manifests"]] == [None, {"of": "descriptor"}]
    assert [registry.manifest(repository, child["digest"])["annotations"] for child in index["manifests"]] == [
        {"of": "manifest"}
    ] * 2
    listed = json.loads((out / "layout/index.json").read_text())["manifests"]
    assert {entry["digest"] for entry in listed} == {digest}
    blobs = out / "layout/blobs/sha256"
    for child in index["manifests"]:
        manifest = json.loads((blobs / child["digest"].removeprefix("sha256:")).read_text())
        for blob in (manifest["config"], *manifest["layers"]):
            assert (blobs / blob["digest"].removeprefix("sha256:")).stat().st_size == blob["size"]


def test_one_platform_gives_a_plain_manifest(
    user_builder: Builder, registry: LoopbackRegistry, repository: str, make_context: MakeContext, six: str
) -> None:
    context, target = make_context({"Dockerfile": LINKED, "file": ""}), registry.reference(repository)
    metadata = user_builder.home / "metadata.json"
    options = [f"--build-arg=BASE={six}", f"--metadata-file={metadata}"]
    user_builder.build(context, "--platform=linux/arm64", *options, f"--destination={target}:1").ok()
    user_builder.build(context, "--custom-platform=linux/arm64", *options, f"--destination={target}:2").ok()
    manifest = registry.manifest(repository, "1")
    assert "manifests" not in manifest
    assert list_image(registry, repository, "2").text("for") == "linux/arm64\n"
    said = json.loads(metadata.read_text())
    assert said["containerimage.config.digest"] == registry.manifest(repository, "2")["config"]["digest"]


@pytest.mark.parametrize(("variant", "form"), [("--format=v2s2", "docker"), ("", "oci")])
def test_the_family_of_the_bases(
    variant: str,
    form: str,
    user_builder: Builder,
    registry: LoopbackRegistry,
    repository: str,
    make_context: MakeContext,
    multiarch: Bases,
) -> None:
    """Docker's bases give a Docker manifest list, and --image-format has the last word."""
    base = multiarch.files(f"base/two:{form}", SIX[:2], *([variant] if variant else []))
    context, target = make_context({"Dockerfile": LINKED, "file": ""}), registry.reference(repository)
    build = [f"--platform={','.join(SIX[:2])}", f"--build-arg=BASE={base}"]
    user_builder.build(context, *build, f"--destination={target}:1").ok()
    user_builder.build(context, *build, "--image-format=docker", f"--destination={target}:2").ok()
    families = []
    for tag in ("1", "2"):
        index = registry.manifest(repository, tag)
        kinds = [index["mediaType"], *(child["mediaType"] for child in index["manifests"])]
        assert len({"docker" in kind for kind in kinds}) == 1
        families.append("docker" if "docker" in kinds[0] else "oci")
    assert families == [form, "docker"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--platform=linux/amd"], r"unknown platform 'linux/amd': there is no architecture 'amd'(?s:.*)amd64"),
        (["--platform=linnux/amd64"], "there is no operating system 'linnux'(?s:.*)linux"),
        (["--platform=linux/arm64/v8/x"], "invalid platform 'linux/arm64/v8/x'"),
        (["--platform=linux/arm64,linux/amd64,linux/aarch64"], "linux/arm64 is named twice .as linux/arm64 and as"),
        (["--platform=linux/arm64", "--platform=linux/arm64"], "linux/arm64 is named twice"),
        (["--platform=linux/arm64", "--custom-platform=linux/amd64"], "are the same"),
        (["--platform=linux/arm64,linux/amd64", "--tar-path=image.tar"], "--tar-path(?s:.*)--oci-layout-path"),
        (["--platform=linux/arm64,linux/riscv64"], r"no image for linux/riscv64; it has linux/386, linux/amd64, "),
    ],
)
def test_what_cannot_be_built(
    options: list[str], message: str, user_builder: Builder, make_context: MakeContext, six: str
) -> None:
    context = make_context({"Dockerfile": LINKED, "file": ""})
    user_builder.build(context, f"--build-arg=BASE={six}", "--no-push", *options).failed(message)


def test_children_of_a_base_by_variant(
    user_builder: Builder, registry: LoopbackRegistry, repository: str, make_context: MakeContext, multiarch: Bases
) -> None:
    """v8 is arm64's default; of arm's variants the nearest older one serves."""
    base = multiarch.files("base/variants:1", ("linux/arm/v6", "linux/arm/v5", "linux/arm64/v8", "linux/amd64/v2"))
    context, target = make_context({"Dockerfile": LINKED, "file": ""}), registry.reference(repository)
    wanted = "linux/arm/v7,linux/arm/v5,linux/arm64,linux/amd64/v3"
    user_builder.build(context, f"--platform={wanted}", f"--build-arg=BASE={base}", f"--destination={target}:1").ok()
    index = registry.manifest(repository, "1")
    images = [list_image(registry, repository, child["digest"]) for child in index["manifests"]]
    assert [image.text("for").strip() for image in images] == [
        "linux/arm/v6", "linux/arm/v5", "linux/arm64/v8", "linux/amd64/v2"
    ]  # fmt: skip
    assert children(index) == wanted.split(",")
    refused = user_builder.build(context, "--platform=linux/amd64", f"--build-arg=BASE={base}", "--no-push")
    refused.failed("no image for linux/amd64; it has linux/amd64/v2, linux/arm/v5, linux/arm/v6, linux/arm64")


def test_a_base_that_is_for_another_platform(
    user_builder: Builder,
    registry: LoopbackRegistry,
    repository: str,
    make_context: MakeContext,
    busybox: dict[str, str],
) -> None:
    """An image without an index is taken as it is, with BuildKit's warning; its own commands run."""
    context = make_context({"Dockerfile": f"FROM {busybox['oci']}\nRUN uname -m > /machine\n"})
    target = registry.reference(repository)
    outcome = user_builder.build(context, "--platform=linux/s390x,linux/ppc64le", f"--destination={target}:1").ok()
    assert outcome.stderr.count("InvalidBaseImagePlatform") == outcome.stderr.count("warning: ") == 2
    assert children(registry.manifest(repository, "1")) == ["linux/s390x", "linux/ppc64le"]


def test_a_plan_for_each_platform(user_builder: Builder, make_context: MakeContext, six: str) -> None:
    context = make_context({"Dockerfile": LINKED, "file": ""})
    options = ["--platform=linux/arm64,linux/s390x", f"--build-arg=BASE={six}", "--no-push"]
    plan = user_builder.build(context, *options, "--dryrun").ok().stdout
    assert re.findall("platform (.*)", plan) == ["linux/arm64", "linux/s390x"]
    checked = user_builder.build(context, *options, "--check")
    checked.failed("1 warning has been found")  # found for each platform, said once
