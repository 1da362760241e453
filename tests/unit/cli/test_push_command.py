"""``builder push`` against a real registry."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.images import Blob, Item, OciLayout, layer
from support.registry import PASSWORD, USER, LoopbackRegistry

from builder.cli.main import main


@pytest.fixture(autouse=True)
def surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BUILDER_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    monkeypatch.delenv("DOCKER_AUTH_CONFIG", raising=False)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def layout(tmp_path: Path) -> tuple[Path, str]:
    """A layout with one image, and that image's digest."""
    written = OciLayout(tmp_path / "layout")
    image = written.image([Blob.of(layer([Item(path="hello", data=b"hello\n")]))], {"Cmd": ["/hello"]}, "amd64")
    written.tag(image, "example.com/hello:1")
    return written.path, image["digest"]


def test_a_layout_to_two_tags_with_digest_files(
    layout: tuple[Path, str], registry: LoopbackRegistry, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, digest = layout
    one, two = registry.reference("push/one:a"), registry.reference("push/two:b")
    files = ("--digest-file=d", "--image-name-with-digest-file=n", "--image-name-tag-with-digest-file=t")
    assert main(["push", str(path), "-d", one, "--destination", two, *files]) == 0
    assert registry.tags("push/one") == ["a"]
    assert registry.tags("push/two") == ["b"]
    assert (tmp_path / "d").read_text() == digest
    assert (tmp_path / "n").read_text() == f"{one[:-2]}@{digest}\n{two[:-2]}@{digest}\n"
    assert (tmp_path / "t").read_text() == f"{one}@{digest}\n{two}@{digest}\n"
    shown = capsys.readouterr().err
    assert f"pushed {one}@{digest}\npushed {two}@{digest}\n" in shown


def test_one_of_several_images_has_to_be_named(layout: tuple[Path, str], capsys: pytest.CaptureFixture[str]) -> None:
    written = OciLayout(layout[0])
    written.tag(written.image([], {}, "amd64"), "a")
    written.tag(written.image([], {"User": "x"}, "amd64"), "b")
    assert main(["push", str(layout[0]), "-d", "localhost:1/x"]) == 1
    shown = capsys.readouterr().err
    assert "layout holds 2 images: a, b\n" in shown
    assert f"hint: say which one is meant: {layout[0]}:a\n" in shown


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("empty", "is a directory, but no OCI layout"),
        ("file", "is not a docker archive"),
        ("missing", "missing does not exist"),
    ],
)
def test_what_cannot_be_pushed(name: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_bytes(b"x" * 2000)
    assert main(["push", name, "-d", "localhost:1/x"]) == 1
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_credentials_are_never_shown(
    log_format: str, layout: tuple[Path, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with LoopbackRegistry(htpasswd=True) as private:
        for password, status in ((PASSWORD, 0), ("wrong" + PASSWORD, 1)):
            auths = {private.host: {"username": USER, "password": password}}
            (tmp_path / "config.json").write_text(json.dumps({"auths": auths}))
            argv = ["push", str(layout[0]), "-d", f"{private.host}/x", "-v", "trace", f"--log-format={log_format}"]
            assert main(argv) == status
            shown = capsys.readouterr()
            assert PASSWORD not in shown.err + shown.out
            assert "Traceback" not in shown.err
