"""Fixtures of the tests in this folder."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.builder import Builder, MakeBuilder
from support.builder_images import BuilderImage, build_image, copy_sources
from support.docker_daemon import DockerDaemon, docker_daemon
from support.isolation import Sandbox
from support.registry import LoopbackRegistry


@pytest.fixture(scope="session")
def root_sandbox(as_root: None, session_directory: Path) -> Iterator[Sandbox]:
    """A sandbox of real root, without a user namespace."""
    running = Sandbox(Path(sys.executable), _directory(session_directory, 0))
    yield running
    running.close()


@pytest.fixture(scope="session")
def user_sandbox(request: pytest.FixtureRequest, session_directory: Path) -> Iterator[Sandbox]:
    """A sandbox of an ordinary user with subordinate ids."""
    account, python = request.getfixturevalue("account"), request.getfixturevalue("user_python")
    running = Sandbox(python, _directory(session_directory, account.uid), account)
    yield running
    running.close()


@pytest.fixture(params=["root", "user"])
def sandbox(request: pytest.FixtureRequest) -> Sandbox:
    """The sandbox of root, and again that of an ordinary user."""
    running: Sandbox = request.getfixturevalue(f"{request.param}_sandbox")
    return running


def _directory(parent: Path, uid: int) -> Path:
    directory = Path(tempfile.mkdtemp(prefix="sandbox-", dir=parent))
    os.chown(directory, uid, -1)
    return directory


@pytest.fixture(scope="session")
def image_builder(make_builder: MakeBuilder, session_directory: Path) -> Builder:
    """The builder as root, with one state directory for all images of its own."""
    return make_builder("root", session_directory)


@pytest.fixture(scope="session")
def image_sources(session_directory: Path) -> Path:
    return copy_sources(session_directory)


@pytest.fixture(scope="session")
def executor_image(
    image_sources: Path, image_builder: Builder, registry: LoopbackRegistry, session_directory: Path
) -> BuilderImage:
    """The builder's image without a shell."""
    return build_image("executor", image_sources, image_builder, registry, session_directory)


@pytest.fixture(scope="session")
def debug_image(
    image_sources: Path, image_builder: Builder, registry: LoopbackRegistry, session_directory: Path
) -> BuilderImage:
    """The builder's image with busybox, for GitLab's jobs."""
    return build_image("debug", image_sources, image_builder, registry, session_directory)


@pytest.fixture(scope="session")
def docker(as_root: None) -> Iterator[DockerDaemon]:
    """A real Docker Engine without any image."""
    with docker_daemon() as running:
        yield running
