"""What is in the builder's own images."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.builder_images import BuilderImage
from support.image_root import ImageRoot, unpack_image
from support.listing import Image, list_archive

# An image is built first, by pip and apt, and an engine started: minutes that `make test` does not have.
pytestmark = pytest.mark.exhaustive

MIB = 1 << 20


@pytest.fixture(scope="module")
def executor(executor_image: BuilderImage) -> Image:
    return list_archive(executor_image.archive)


@pytest.fixture(scope="module")
def debug(debug_image: BuilderImage) -> Image:
    return list_archive(debug_image.archive)


@pytest.fixture(scope="module")
def root(executor_image: BuilderImage, session_directory: Path) -> Iterator[ImageRoot]:
    with unpack_image(executor_image.archive, session_directory) as unpacked:
        yield unpacked


def test_the_executor_is_nothing_but_its_own_directory(executor: Image) -> None:
    assert {path.partition("/")[0] for path in executor.files} == {"kaniko", "tmp", "workspace"}
    assert not [path for path in executor.files if path.rpartition("/")[2] in ("sh", "bash", "busybox")]


def test_the_debug_image_has_a_shell_besides(debug: Image, executor: Image) -> None:
    assert {path.partition("/")[0] for path in debug.files} == {"kaniko", "tmp", "workspace", "busybox"}
    assert {"busybox/sh", "busybox/grep", "busybox/cat"} <= debug.files.keys()
    assert debug.config["config"]["Volumes"] == {"/busybox": {}}


def test_the_same_sources_make_the_same_layer(executor: Image, debug: Image) -> None:
    """The runtime is assembled for each image anew."""
    assert executor.config["rootfs"]["diff_ids"][0] == debug.config["rootfs"]["diff_ids"][0]


@pytest.mark.parametrize("name", ["executor_image", "debug_image"])
def test_it_is_small(name: str, request: pytest.FixtureRequest) -> None:
    image: BuilderImage = request.getfixturevalue(name)
    assert image.archive.stat().st_size < 60 * MIB


def test_configuration(executor: Image, debug: Image) -> None:
    config = executor.config["config"]
    assert config["Entrypoint"] == ["/kaniko/executor"]
    assert config["WorkingDir"] == "/workspace"
    assert "User" not in config or config["User"] == ""
    environment = {
        "HOME=/root",
        "USER=root",
        "SSL_CERT_DIR=/kaniko/ssl/certs",
        "DOCKER_CONFIG=/kaniko/.docker/",
    }
    assert set(config["Env"]) == environment | {"PATH=/usr/local/bin:/kaniko"}
    assert set(debug.config["config"]["Env"]) == environment | {"PATH=/usr/local/bin:/kaniko:/busybox"}


def test_licenses(executor: Image) -> None:
    """Of the C library, OpenSSL, git and Python, as Debian names their packages."""
    names = {path.rpartition("/")[2] for path in executor.files if path.startswith("kaniko/licenses/")}
    assert {"git", "libc6", "libssl3", "python3.11-minimal"} <= names
    assert "License" in executor.text("kaniko/licenses/git")


def test_modes(executor: Image) -> None:
    files = executor.files
    assert files["tmp"].mode == 0o1777
    assert files["kaniko"].mode == files["kaniko/executor"].mode == 0o755
    assert files["kaniko/state"].mode == 0o1777
    for path in ("kaniko/.docker", "kaniko/ssl/certs", "kaniko/ssl/certs/ca-certificates.crt"):
        assert files[path].mode & 0o020, f"a user of root's group cannot write {path}"
    shared = {"tmp", "kaniko/state"}
    writable = [path for path, file in files.items() if file.type != "symlink" and file.mode & 0o002]
    assert set(writable) == shared
    assert {(file.uid, file.gid) for file in files.values()} == {(0, 0)}


def test_every_program_and_library_finds_all_it_needs_within(root: ImageRoot) -> None:
    loader = next(root.path.glob("kaniko/runtime/lib/ld-linux-*"))
    inside = f"/{loader.relative_to(root.path)}"
    checked = 0
    for file in sorted(root.path.glob("kaniko/runtime/**/*")):
        if file.is_symlink() or not file.is_file() or file.read_bytes()[:4] != b"\x7fELF" or file == loader:
            continue
        options = ["--library-path", "/kaniko/runtime/lib"] if ".so" in file.name else []
        listed = root.run(inside, *options, "--list", f"/{file.relative_to(root.path)}").ok().stdout
        found = [line.partition(" => ")[2] for line in listed.splitlines() if " => " in line]
        assert all(place.startswith("/kaniko/runtime/") for place in found), f"{file}:\n{listed}"
        checked += 1
    assert checked > 60


def test_it_starts_with_nothing_else_at_all(root: ImageRoot) -> None:
    assert root.run("/kaniko/executor", "version").ok().stdout.startswith("builder ")
    assert root.run("/kaniko/git", "--version").ok().stdout.startswith("git version ")


def test_the_warmer_is_a_command_of_its_own(root: ImageRoot) -> None:
    outcome = root.run("/kaniko/warmer", "--help")
    assert "warm" in outcome.output


def test_no_source_is_compiled_when_it_runs(root: ImageRoot) -> None:
    assert not list(root.path.glob("kaniko/runtime/**/*.py"))
    root.run("/kaniko/executor", "--help").ok()
    assert not list(root.path.glob("kaniko/runtime/**/__pycache__"))


@pytest.mark.parametrize("module", ["ctypes", "ssl", "lzma", "bz2", "zlib", "requests", "yaml", "zstandard", "isal"])
def test_modules(module: str, root: ImageRoot) -> None:
    code = f"import sys; sys.path.append('/kaniko/runtime/packages'); import {module}; print({module}.__name__)"
    assert root.run("/kaniko/runtime/bin/python3", "-IS", "-c", code).ok().stdout.strip() == module


def test_a_copy_at_another_place_works(root: ImageRoot) -> None:
    """As with KANIKO_DIR: by its own loader, as the kernel looks for that at its old place."""
    (root.path / "kaniko").rename(root.path / "moved")
    try:
        loader = next(root.path.glob("moved/runtime/lib/ld-linux-*")).name
        command = [f"/moved/runtime/lib/{loader}", "/moved/runtime/bin/python3", "-ISXutf8", "/moved/executor"]
        assert root.run(*command, "version").ok().stdout.startswith("builder ")
    finally:
        (root.path / "moved").rename(root.path / "kaniko")
