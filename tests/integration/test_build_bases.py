"""The kinds of base images: OCI and Docker manifests, gzip and zstd, an index, a digest, behind a password."""

from __future__ import annotations

import pytest
from support.bases import push_busybox
from support.builder import Builder
from support.contexts import MakeContext
from support.listing import diff_listings, list_image
from support.registry import LoopbackRegistry

DOCKERFILE = """
FROM {base}
RUN ls -l /usr/share > /listing && test ! -e /usr/share/removed && test ! -e /usr/share/old/gone
COPY file /usr/share/old/
"""
OCI = "application/vnd.oci.image.manifest.v1+json"
DOCKER = "application/vnd.docker.distribution.manifest.v2+json"


@pytest.mark.parametrize(
    ("variant", "media_type"), [("oci", OCI), ("docker", DOCKER), ("zstd", OCI), ("index", OCI)], ids=lambda v: v[-12:]
)
def test_variants(
    builder: Builder,
    registry: LoopbackRegistry,
    busybox: dict[str, str],
    make_context: MakeContext,
    repository: str,
    variant: str,
    media_type: str,
) -> None:
    context = make_context({"Dockerfile": DOCKERFILE.format(base=busybox[variant]), "file": "new"})
    builder.build(context, f"--destination={registry.reference(repository)}:1").ok()
    base, image = list_image(registry, "base/busybox", variant), list_image(registry, repository, "1")
    assert image.manifest["mediaType"] == media_type
    assert image.manifest["layers"][:3] == base.manifest["layers"]
    expected = {
        **base.files,
        "listing": image.files["listing"],
        "usr/share/old/file": image.files["usr/share/old/file"],
    }
    assert diff_listings(expected, image.files) == ""
    assert image.config["config"]["Labels"] == {"base": "busybox"}


def test_by_digest(
    root_builder: Builder,
    registry: LoopbackRegistry,
    busybox: dict[str, str],
    make_context: MakeContext,
    repository: str,
) -> None:
    digest = registry.digest("base/busybox", "oci")
    base = registry.reference(f"base/busybox:docker@{digest}")  # the digest counts, the tag does not
    context = make_context({"Dockerfile": f"FROM {base}\nCOPY file /\n", "file": "new"})
    root_builder.build(context, f"--destination={registry.reference(repository)}:1").ok()
    assert list_image(registry, repository, "1").manifest["mediaType"] == OCI


def test_platform_of_an_index(
    root_builder: Builder,
    registry: LoopbackRegistry,
    busybox: dict[str, str],
    make_context: MakeContext,
    repository: str,
) -> None:
    context = make_context({"Dockerfile": f"FROM {busybox['index']}\nCOPY file /\n", "file": "new"})
    destination = f"--destination={registry.reference(repository)}:1"
    root_builder.build(context, "--custom-platform=linux/s390x", destination).ok()
    image = list_image(registry, repository, "1")
    assert set(image.files) == {"foreign", "file"}
    assert image.config["architecture"] == "s390x"


def test_a_platform_that_is_not_there(
    root_builder: Builder, busybox: dict[str, str], make_context: MakeContext
) -> None:
    context = make_context({"Dockerfile": f"FROM {busybox['index']}\n"})
    root_builder.build(context, "--no-push", "--custom-platform=linux/riscv64").failed("linux/riscv64")


def test_credentials(builder: Builder, make_context: MakeContext) -> None:
    """Pull and push by the user and password of config.json, and nothing of them in what is said."""
    with LoopbackRegistry(htpasswd=True) as closed:
        closed.docker_config(builder.home / ".docker")
        (builder.home / ".docker").chmod(0o755)
        files = {"Dockerfile": "FROM scratch\nCOPY file /\n", "file": "new"}
        first = builder.build(make_context(files), f"--destination={closed.reference('first:1')}").ok()
        files["Dockerfile"] = f"FROM {closed.reference('first:1')}\nCOPY file /again\n"
        builder.build(make_context(files), f"--destination={closed.reference('second:1')}").ok()
        assert set(list_image(closed, "second", "1").files) == {"file", "again"}
        assert "open sesame" not in first.output


def test_reused_state_downloads_a_base_once(
    builder: Builder, make_context: MakeContext, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """The second build on a base finds the layers in the state directory."""
    with LoopbackRegistry() as registry:
        base = push_busybox(registry, tmp_path_factory.mktemp("layout"))["oci"]
        context = make_context({"Dockerfile": f"FROM {base}\nRUN true\n"})
        builder.build(context, "--no-push").ok()
        for layer in registry.manifest("base/busybox", "oci")["layers"]:
            registry.blob_file(layer["digest"]).unlink()
        builder.build(context, "--no-push").ok()
