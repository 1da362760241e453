"""The builder's image builds the builder's image."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.builder_images import DATE, PYTHON_BASE, BuilderImage, image_arguments, wheels
from support.docker_daemon import DockerDaemon
from support.registry import LoopbackRegistry

# An image is built first, by pip and apt, and an engine started: minutes that `make test` does not have.
pytestmark = pytest.mark.exhaustive


def test_in_place_and_in_namespaces_make_the_same_image(
    docker: DockerDaemon, debug_image: BuilderImage, image_sources: Path, registry: LoopbackRegistry
) -> None:
    """`debug_image` comes from namespaces; this one comes from a container of it, in place."""
    context = "/workspace/context"
    arguments = image_arguments("debug", "/workspace/wheels", registry.reference(PYTHON_BASE))
    docker.run(
        docker.load(debug_image.archive),
        f"--context={context}",
        *arguments,
        "--isolation=in-place",
        f"--destination={registry.reference('built-in-place:debug')}",
        files={image_sources: context, wheels(): "/workspace/wheels"},
        environment={"SOURCE_DATE_EPOCH": DATE},
    ).ok()
    assert registry.digest("built-in-place", "debug") == registry.digest("builder", "debug")
