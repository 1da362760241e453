"""Which Dockerfile and which .dockerignore are read."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest

from builder.context import dockerfile, ignore
from builder.context.dockerfile import read_dockerfile
from builder.context.ignore import read_ignore
from builder.errors import ContextError


@pytest.fixture
def context(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "context/docker").mkdir(parents=True)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    return tmp_path / "context"


def test_the_context_goes_before_the_working_directory(context: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere/Dockerfile").write_text("elsewhere")
    assert read_dockerfile("Dockerfile", context).path == tmp_path / "elsewhere/Dockerfile"
    (context / "Dockerfile").write_text("context")
    found = read_dockerfile("Dockerfile", context)
    assert (found.text, found.name, found.path) == (b"context", "Dockerfile", context / "Dockerfile")


def test_paths(context: Path, tmp_path: Path) -> None:
    (context / "docker/Dockerfile.prod").write_text("prod")
    assert read_dockerfile("docker/Dockerfile.prod", context).text == b"prod"
    assert read_dockerfile("../context/docker/Dockerfile.prod", context).text == b"prod"
    assert read_dockerfile(str(context / "docker/Dockerfile.prod"), tmp_path).text == b"prod"


@pytest.mark.parametrize(
    ("present", "wanted", "hint"),
    [
        ("dockerfile", "Dockerfile", "there is dockerfile in {context}"),
        ("Containerfile", "Dockerfile", "there is Containerfile in {context}"),
        ("Dockerfile.prod", "Dockerfile", "there is Dockerfile.prod in {context}"),
        ("Dockerfile", "Dockerfil", "there is Dockerfile in {context}"),
        ("main.c", "Dockerfile", "name the Dockerfile with --dockerfile"),
    ],
)
def test_not_found(present: str, wanted: str, hint: str, context: Path, tmp_path: Path) -> None:
    (context / present).touch()
    with pytest.raises(ContextError) as caught:
        read_dockerfile(wanted, context)
    assert caught.value.message == f"Dockerfile not found: tried {context}/{wanted} and {tmp_path}/elsewhere/{wanted}"
    assert (caught.value.hint or "").startswith(hint.format(context=context))


def test_a_directory_is_no_dockerfile(context: Path) -> None:
    (context / "docker/Dockerfile").touch()
    with pytest.raises(ContextError, match="is a directory") as caught:
        read_dockerfile("docker", context)
    assert caught.value.hint == f"there is Dockerfile in {context}/docker; name it with --dockerfile"


def test_a_dockerfile_is_bounded(context: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dockerfile, "MAX_SIZE", 1 << 20)
    (context / "Dockerfile").write_bytes(b"#" * (1 << 20))
    assert len(read_dockerfile("Dockerfile", context).text) == 1 << 20
    (context / "Dockerfile").write_bytes(b"#" * ((1 << 20) + 1))
    with pytest.raises(ContextError, match="longer than 1 MiB"):
        read_dockerfile("Dockerfile", context)


def test_a_device_is_no_dockerfile(context: Path) -> None:
    with pytest.raises(ContextError, match="/dev/zero is not a file"):
        read_dockerfile("/dev/zero", context)


def test_standard_input(context: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"FROM scratch")))
    found = read_dockerfile("-", context)
    assert (found.text, found.path) == (b"FROM scratch", None)


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, None),
        ({".dockerignore": "a"}, "a"),
        ({".dockerignore": "a", "docker/app.Dockerfile.dockerignore": "b"}, "b"),
        ({".dockerignore": "a", "docker/.dockerignore": "b"}, "a"),
        ({"docker/app.Dockerfile.dockerignore": ""}, ""),
        ({".dockerignore": "\ufeffa\n!b"}, "a\n!b"),
    ],
)
def test_which_dockerignore_applies(files: dict[str, str], expected: str | None, context: Path) -> None:
    for name, text in files.items():
        (context / name).write_text(text)
    assert read_ignore(context, context / "docker/app.Dockerfile") == expected


def test_a_dockerfile_without_a_path_takes_the_context_s(context: Path) -> None:
    (context / ".dockerignore").write_bytes(b"caf\xe9")
    assert read_ignore(context, None) == "caf\udce9"


def test_a_dockerignore_that_cannot_be_read(context: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (context / ".dockerignore").mkdir()
    with pytest.raises(ContextError, match="cannot read"):
        read_ignore(context, None)
    (context / ".dockerignore").rmdir()
    monkeypatch.setattr(ignore, "MAX_SIZE", 1 << 20)
    (context / ".dockerignore").write_bytes(b"#" * ((1 << 20) + 1))
    with pytest.raises(ContextError, match="longer than 1 MiB"):
        read_ignore(context, None)
