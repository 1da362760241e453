"""Where an image can go: registries, a docker archive, an OCI layout, digest files, and from those on to a registry."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.builder import Builder
from support.containers import Podman, skopeo_inspect
from support.contexts import MakeContext
from support.listing import diff_listings, list_archive, list_image, list_layout
from support.registry import LoopbackRegistry
from support.stalling_proxy import StallingProxy

DOCKERFILE = """
FROM {base}
WORKDIR /work
COPY --chown=1000:50 greeting .
RUN ln greeting other && rm /usr/share/becomes-file
CMD ["cat", "/work/greeting"]
"""


@pytest.fixture
def context(make_context: MakeContext, busybox: dict[str, str]) -> Path:
    return make_context({"Dockerfile": DOCKERFILE.format(base=busybox["oci"]), "greeting": "hello\n"})


def test_several_destinations(builder: Builder, registry: LoopbackRegistry, context: Path, repository: str) -> None:
    first, second = f"{repository}/first", f"{repository}/second"
    destinations = [
        f"{registry.reference(first)}:1",
        f"{registry.reference(first)}:2",
        f"{registry.reference(second)}:1",
    ]
    builder.build(context, *(f"--destination={destination}" for destination in destinations)).ok()
    assert (registry.tags(first), registry.tags(second)) == (["1", "2"], ["1"])
    assert len({registry.digest(name, "1") for name in (first, second)} | {registry.digest(first, "2")}) == 1


def test_a_destination_without_a_tag_is_latest(
    root_builder: Builder, registry: LoopbackRegistry, context: Path, repository: str
) -> None:
    root_builder.build(context, f"--destination={registry.reference(repository)}").ok()
    assert registry.tags(repository) == ["latest"]


def test_no_push(builder: Builder, registry: LoopbackRegistry, context: Path, repository: str) -> None:
    builder.build(context, "--no-push", f"--destination={registry.reference(repository)}:1").ok()
    assert registry.tags(repository) == []
    builder.build(context, "--no-push").ok()


def test_a_destination_is_needed(root_builder: Builder, context: Path) -> None:
    root_builder.build(context).failed("--destination")


def test_digest_files(builder: Builder, registry: LoopbackRegistry, context: Path, repository: str) -> None:
    places = {name: builder.home / name for name in ("digest", "image-name-with-digest", "image-name-tag-with-digest")}
    names = [f"{registry.reference(repository)}:{tag}" for tag in ("1", "2")]
    files = [f"--{name}-file={path}" for name, path in places.items()]
    builder.build(context, *files, *(f"--destination={name}" for name in names)).ok()
    digest = registry.digest(repository, "1")
    name = registry.reference(repository)
    assert places["digest"].read_text().strip() == digest
    assert places["image-name-with-digest"].read_text().splitlines() == [f"{name}@{digest}"] * 2
    assert places["image-name-tag-with-digest"].read_text().splitlines() == [f"{n}@{digest}" for n in names]


def test_archive(
    builder: Builder,
    registry: LoopbackRegistry,
    context: Path,
    repository: str,
    containers: Podman,
) -> None:
    archive = builder.home / "image.tar"
    builder.build(context, f"--tar-path={archive}", f"--destination={registry.reference(repository)}:1").ok()
    pushed, saved = list_image(registry, repository, "1"), list_archive(archive)
    assert diff_listings(pushed.files, saved.files, ignore=()) == ""
    assert saved.config == pushed.config
    assert saved.manifest["RepoTags"] == [f"{registry.reference(repository)}:1"]
    loaded = containers.load(archive)
    assert loaded == f"{registry.reference(repository)}:1"
    assert skopeo_inspect(f"docker-archive:{archive}")["Architecture"] == pushed.config["architecture"]


def test_podman_runs_a_loaded_archive(root_builder: Builder, context: Path, containers: Podman) -> None:
    archive = root_builder.home / "image.tar"
    root_builder.build(context, f"--tar-path={archive}", "--no-push", "--destination=localhost/hello:1").ok()
    assert containers.run(containers.load(archive)) == "hello\n"


def test_layout(builder: Builder, registry: LoopbackRegistry, context: Path, repository: str) -> None:
    layout = builder.home / "layout"
    builder.build(context, f"--oci-layout-path={layout}", f"--destination={registry.reference(repository)}:1").ok()
    pushed, saved = list_image(registry, repository, "1"), list_layout(layout)
    assert diff_listings(pushed.files, saved.files, ignore=()) == ""
    assert saved.manifest == pushed.manifest
    index = json.loads((layout / "index.json").read_text())
    assert index["manifests"][0]["digest"] == registry.digest(repository, "1")
    assert skopeo_inspect(f"oci:{layout}")["Digest"] == registry.digest(repository, "1")


def test_layout_without_a_push(user_builder: Builder, context: Path) -> None:
    layout = user_builder.home / "layout"
    user_builder.build(context, "--no-push", f"--oci-layout-path={layout}").ok()
    assert list_layout(layout).text("work/greeting") == "hello\n"


@pytest.mark.parametrize("output", ["--tar-path", "--oci-layout-path"])
def test_push_of_what_was_saved(
    builder: Builder, registry: LoopbackRegistry, context: Path, repository: str, output: str
) -> None:
    saved = builder.home / "saved"
    built = registry.reference(f"{repository}/built:1")
    builder.build(context, f"{output}={saved}", f"--destination={built}").ok()
    pushed = registry.reference(f"{repository}/pushed:1")
    builder.run("push", saved, f"--destination={pushed}", "--insecure").ok()
    first, second = (list_image(registry, f"{repository}/{name}", "1") for name in ("built", "pushed"))
    assert diff_listings(first.files, second.files, ignore=()) == ""
    assert first.config == second.config


def test_a_second_push_uploads_nothing(
    root_builder: Builder, registry: LoopbackRegistry, context: Path, repository: str
) -> None:
    """The blobs are there already: only questions and the manifest go out."""
    layout = root_builder.home / "layout"
    root_builder.build(context, "--no-push", f"--oci-layout-path={layout}").ok()
    sizes = []
    for _ in range(2):
        with StallingProxy(registry.port, "upload") as proxy:
            root_builder.run("push", layout, f"--destination={proxy.host}/{repository}:1", "--insecure").ok()
            sizes.append(proxy.passed)
    blobs = sum(layer["size"] for layer in list_layout(layout).manifest["layers"])
    assert sizes[0] > blobs > 500_000
    assert sizes[1] < 50_000


def test_state_directory_by_flag(root_builder: Builder, context: Path) -> None:
    state = root_builder.home / "elsewhere"
    root_builder.build(context, "--no-push", f"--state-dir={state}").ok()
    assert state.is_dir()
    assert not root_builder.state.exists()
