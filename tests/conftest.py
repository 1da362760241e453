"""Fixtures that need a real registry, real base images, and a builder run by root or by an ordinary user.

Made when the first test asks for them, so that a unit test costs nothing.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import pytest
from support.account import Account, ordinary_user, readable_python
from support.bases import push_busybox, push_debian
from support.binfmt import binfmt_misc
from support.builder import Builder, MakeBuilder, remove_tree
from support.builder_images import BuilderImage, build_image, copy_sources
from support.containers import Podman, podman
from support.contexts import MakeContext, write_context
from support.docker_daemon import DockerDaemon, EngineError, docker_daemon
from support.multiarch import Bases as MultiarchBases
from support.registry import LoopbackRegistry

collect_ignore = ["benchmarks"]  # run by name alone: `make bench`


@pytest.fixture(scope="session")
def session_directory() -> Iterator[Path]:
    """A directory that every user can enter (pytest's own are closed to others), on disk."""
    directory = Path(tempfile.mkdtemp(prefix="tests-of-builder-", dir="/var/tmp"))
    directory.chmod(0o755)
    yield directory
    remove_tree(directory)


@pytest.fixture
def scratch(session_directory: Path) -> Iterator[Path]:
    """A directory for one test that every user can enter and write to."""
    directory = Path(tempfile.mkdtemp(dir=session_directory))
    directory.chmod(0o777)
    yield directory
    remove_tree(directory)


@pytest.fixture
def make_context(scratch: Path) -> MakeContext:
    """A function that makes a build context of ``{path: content}`` and returns its directory."""

    def make(files: Mapping[str, str | bytes]) -> Path:
        return write_context(Path(tempfile.mkdtemp(prefix="context-", dir=scratch)), files)

    return make


@pytest.fixture(scope="session")
def registry() -> Iterator[LoopbackRegistry]:
    with LoopbackRegistry() as running:
        yield running


@pytest.fixture(scope="session")
def busybox(registry: LoopbackRegistry, session_directory: Path) -> dict[str, str]:
    """The references of the busybox bases: oci, zstd, docker, index."""
    return push_busybox(registry, session_directory)


@pytest.fixture(scope="session")
def debian(registry: LoopbackRegistry, as_root: None) -> str:
    """The reference of the Debian base."""
    return push_debian(registry)


@pytest.fixture(scope="session")
def multiarch(registry: LoopbackRegistry, session_directory: Path) -> MultiarchBases:
    """Pushes bases of several platforms to the registry."""
    return MultiarchBases(registry, session_directory)


@pytest.fixture(scope="session")
def arm64_busybox(multiarch: MultiarchBases) -> str:
    """The reference of a busybox for this machine and for arm64."""
    return multiarch.busybox("base/busybox:multiarch")


@pytest.fixture
def binfmt(as_root: None) -> Iterator[None]:
    """binfmt_misc, mounted."""
    with binfmt_misc():
        yield


@pytest.fixture(scope="session")
def as_root() -> None:
    """For tests that only root can run; CI does."""
    if os.getuid() != 0:
        pytest.skip("needs root: debootstrap, podman and mounts of the tests' own")


@pytest.fixture(scope="session")
def account() -> Account:
    return ordinary_user()


@pytest.fixture(scope="session")
def user_python(account: Account, session_directory: Path) -> Path:
    """A Python with the builder that the ordinary user can execute."""
    if account.uid == os.getuid():
        return Path(sys.executable)
    return readable_python(account, session_directory / "installed")


@pytest.fixture(scope="session")
def make_builder(request: pytest.FixtureRequest) -> MakeBuilder:
    """A function that makes the builder of ``root`` or of an ordinary ``user``, with its home in a directory."""

    def make(who: str, directory: Path) -> Builder:
        home = Path(tempfile.mkdtemp(prefix=f"home-of-{who}-", dir=directory))
        if who == "root":
            request.getfixturevalue("as_root")
            return Builder(python=Path(sys.executable), home=home, state=home / "state")
        account, python = request.getfixturevalue("account"), request.getfixturevalue("user_python")
        os.chown(home, account.uid, account.gid)
        return Builder(python=python, home=home, state=home / "state", account=account)

    return make


@pytest.fixture
def root_builder(make_builder: MakeBuilder, scratch: Path) -> Builder:
    """The builder as root."""
    return make_builder("root", scratch)


@pytest.fixture
def user_builder(make_builder: MakeBuilder, scratch: Path) -> Builder:
    """The builder as an ordinary user with subordinate ids."""
    return make_builder("user", scratch)


@pytest.fixture(params=["root", "user"])
def builder(request: pytest.FixtureRequest) -> Builder:
    """The builder as root, and again as an ordinary user."""
    runner: Builder = request.getfixturevalue(f"{request.param}_builder")
    return runner


@pytest.fixture
def containers(as_root: None) -> Iterator[Podman]:
    with podman() as running:
        yield running


@pytest.fixture
def repository(request: pytest.FixtureRequest) -> str:
    """The name of a repository that no other test pushes to."""
    name = "".join(letter if letter.isalnum() else "-" for letter in request.node.name.lower())
    return f"test/{'-'.join(part for part in name.split('-') if part)[:100]}"


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
    """A real Docker Engine, without any image at first."""
    with ExitStack() as stack:
        try:
            running = stack.enter_context(docker_daemon())
        except EngineError as error:
            if os.environ.get("CI"):
                raise
            pytest.skip(f"no Docker Engine runs on this machine: {error}")
        yield running


@pytest.fixture(scope="session")
def executor_in_docker(docker: DockerDaemon, executor_image: BuilderImage) -> str:
    """The name in the engine of the builder's image without a shell."""
    return docker.load(executor_image.archive)


@pytest.fixture(scope="session")
def debug_in_docker(docker: DockerDaemon, debug_image: BuilderImage) -> str:
    """The name in the engine of the builder's image with a shell."""
    return docker.load(debug_image.archive)
