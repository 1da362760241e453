"""A Dockerfile without RUN: no root, no namespaces, no unpacking."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from support.builder import Builder, MakeBuilder
from support.containers import Podman
from support.contexts import MakeContext, readable_copy
from support.leftovers import nothing_left
from support.listing import Image, list_image
from support.registry import LoopbackRegistry

CONTEXT = Path(__file__).parent / "debian"


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    reference: str
    base: Image
    image: Image


@pytest.fixture(scope="module")
def built(
    registry: LoopbackRegistry, debian: str, make_builder: MakeBuilder, session_directory: Path
) -> Iterator[Built]:
    confined = replace(make_builder("user", session_directory), no_user_namespaces=True)
    context = readable_copy(CONTEXT, session_directory / "context-without-run")
    reference = registry.reference("test/debian-without-run:1")
    arguments = ["-f", "Dockerfile.without-run", f"--build-arg=BASE={debian}", f"--destination={reference}"]
    with nothing_left(confined.state, context):
        confined.build(context, *arguments).ok()
    yield Built(
        reference=reference,
        base=list_image(registry, "base/debian", "bookworm"),
        image=list_image(registry, "test/debian-without-run", "1"),
    )


def test_podman_runs_it(built: Built, containers: Podman) -> None:
    expected = ["games", "/srv/app/work", "from the context", "hello there"]
    assert containers.run(built.reference).splitlines() == expected


@pytest.mark.parametrize(
    ("path", "mode", "uid", "gid"),
    [
        ("srv/app", 0o755, 0, 0),
        ("srv/app/main.py", 0o644, 5, 60),
        ("srv/app/data", 0o755, 5, 60),
        ("srv/app/work", 0o755, 5, 60),
        ("artifacts", 0o755, 1234, 1234),
        ("artifacts/main.py", 0o644, 1234, 1234),
        ("copied/passwd", 0o4755, 0, 0),
        ("copied/capable", 0o755, 0, 0),
        ("usr/bin/passwd", 0o4755, 0, 0),
    ],
)
def test_owners_and_modes(built: Built, path: str, mode: int, uid: int, gid: int) -> None:
    found = built.image.files[path]
    assert (oct(found.mode), found.uid, found.gid) == (oct(mode), uid, gid)


def test_what_comes_from_the_base_is_as_it_was_there(built: Built) -> None:
    files, base = built.image.files, built.base.files
    assert files["copied/capable"].xattrs == base["opt/capable"].xattrs != {}
    assert files["copied/first"].hardlinks == ("copied/first", "copied/second")
    assert files["copied/passwd"].sha256 == base["usr/bin/passwd"].sha256
    assert files["copied/passwd"].mtime == base["usr/bin/passwd"].mtime


def test_only_the_copied_paths_are_new(built: Built) -> None:
    new = built.image.files.keys() - built.base.files.keys()
    assert {path.split("/")[0] for path in new} == {"srv", "artifacts", "copied"}
    assert built.base.files.keys() <= built.image.files.keys()


def test_the_base_is_not_unpacked(
    user_builder: Builder, busybox: dict[str, str], make_context: MakeContext, registry: LoopbackRegistry
) -> None:
    """Accounts and directories of the base are looked up in it without any of its programs being written to disk."""
    dockerfile = f"FROM {busybox['oci']}\nWORKDIR /srv\nCOPY --chown=app:staff file .\nUSER app\nWORKDIR mine\n"
    context = make_context({"Dockerfile": dockerfile, "file": "new"})
    user_builder.build(context, f"--destination={registry.reference('test/not-unpacked:1')}").ok()
    files = list_image(registry, "test/not-unpacked", "1").files
    assert (files["srv/file"].uid, files["srv/file"].gid) == (1000, 50)
    assert files["srv/mine"].uid == 1000
    programs = [path for path in user_builder.state.rglob("*") if path.name in ("busybox", "setuid", "capable")]
    assert programs == []


def test_a_run_says_why_it_cannot(user_builder: Builder, busybox: dict[str, str], make_context: MakeContext) -> None:
    """What to change is in the message: here no user namespace can be made."""
    context = make_context({"Dockerfile": f"FROM {busybox['oci']}\nRUN true\n"})
    confined = replace(user_builder, no_user_namespaces=True)
    with nothing_left(confined.state, context):
        confined.build(context, "--no-push").failed("(?s)user namespace.*max_user_namespaces")


def test_scratch(user_builder: Builder, registry: LoopbackRegistry, make_context: MakeContext) -> None:
    """The smallest image: files of the context on nothing."""
    context = make_context({"Dockerfile": "FROM scratch\nCOPY hello /\n", "hello": "hello\n"})
    confined = replace(user_builder, no_user_namespaces=True)
    confined.build(context, f"--destination={registry.reference('test/scratch:1')}").ok()
    image = list_image(registry, "test/scratch", "1")
    assert list(image.files) == ["hello"]
    assert image.text("hello") == "hello\n"
    assert (image.files["hello"].uid, image.files["hello"].gid, image.files["hello"].mode) == (0, 0, 0o644)
