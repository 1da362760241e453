"""Finding places inside a root filesystem, and taking away what was made there."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from builder.isolation import stubs
from builder.isolation.sandbox.targets import Make, Root, by_descriptor

Resolve = Callable[..., str]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A root with links of every kind; `outside` beside it must never be reached."""
    (tmp_path / "outside").mkdir()
    root = tmp_path / "root"
    for path in ("etc", "usr/bin"):
        (root / path).mkdir(parents=True)
    (root / "etc/file").write_text("x")
    for name, target in {
        "absolute": "/etc",
        "up": "../../../../../..",
        "chain": "absolute/../usr/bin",
        "out": "../outside",
        "loop": "loop",
        "dangling": "new/deep",
        "host": str(tmp_path / "outside"),
    }.items():
        (root / name).symlink_to(target)
    return root


@pytest.fixture
def resolve(tree: Path) -> Resolve:
    root = Root(str(tree))

    def place(path: str, make: Make | None = None) -> str:
        descriptor = root.open(path, make)
        try:
            return os.path.relpath(os.readlink(by_descriptor(descriptor)), tree)
        finally:
            os.close(descriptor)

    return place


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("/", "."),
        ("/etc", "etc"),
        ("etc/./file", "etc/file"),
        ("//etc//../etc/file", "etc/file"),
        ("/../../etc", "etc"),
        ("/absolute/file", "etc/file"),
        ("/up/etc", "etc"),
        ("/chain", "usr/bin"),
        ("/usr/../../..", "."),
    ],
)
def test_links_and_parents_stay_inside(resolve: Resolve, path: str, found: str) -> None:
    assert resolve(path) == found


@pytest.mark.parametrize("path", ["/out/x", "/host/x", "/up/outside/x"])
def test_what_is_made_is_inside(resolve: Resolve, tree: Path, path: str) -> None:
    assert ".." not in resolve(path, "directory")
    assert list((tree.parent / "outside").iterdir()) == []


def test_dangling_link_is_filled(resolve: Resolve, tree: Path) -> None:
    assert resolve("/dangling", "file") == "new/deep"
    assert (tree / "new/deep").is_file()


@pytest.mark.parametrize(
    ("path", "make", "error"),
    [
        ("/none", None, FileNotFoundError),
        ("/loop", "directory", OSError),
        ("/etc/file/x", "directory", NotADirectoryError),
    ],
)
def test_errors(resolve: Resolve, path: str, make: Make | None, error: type[OSError]) -> None:
    with pytest.raises(error):
        resolve(path, make)


def test_no_descriptor_is_left_open(resolve: Resolve) -> None:
    before = len(os.listdir("/proc/self/fd"))
    for path in ("/up/chain/../../absolute/file", "/a/b/c", "/chain"):
        resolve(path, "directory")
    with pytest.raises(OSError):
        resolve("/loop")
    assert len(os.listdir("/proc/self/fd")) == before


def times(path: Path) -> tuple[int, int]:
    return path.stat().st_atime_ns, path.stat().st_mtime_ns


def make_stubs(tree: Path, *paths: tuple[str, Make]) -> Root:
    root = Root(str(tree))
    for path, kind in paths:
        os.close(root.open(path, kind))
    return root


def test_stubs_are_removed_and_times_restored(tree: Path) -> None:
    for directory in (tree, tree / "etc"):
        os.utime(directory, ns=(5, 7))
    root = make_stubs(tree, ("/etc/a", "file"), ("/etc/b/c", "directory"), ("/x/y", "file"), ("/etc/file", "file"))
    assert [stub.path for stub in root.stubs] == ["etc/a", "etc/b", "etc/b/c", "x", "x/y"]
    stubs.remove(str(tree), root.stubs)
    assert os.listdir(tree / "etc") == ["file"] and not (tree / "x").exists()
    assert times(tree)[1] == times(tree / "etc")[1] == 7


def test_stubs_that_are_used_stay(tree: Path) -> None:
    root = make_stubs(tree, ("/etc/a", "file"), ("/etc/b/c", "directory"))
    (tree / "etc/a").write_text("filled")
    (tree / "etc/b/other").touch()
    stubs.remove(str(tree), root.stubs)
    assert sorted(os.listdir(tree / "etc")) == ["a", "b", "file"]
    assert os.listdir(tree / "etc/b") == ["other"]


def test_changed_directory_keeps_its_time(tree: Path) -> None:
    os.utime(tree / "etc", ns=(5, 7))
    root = make_stubs(tree, ("/etc/a", "file"))
    os.utime(tree / "etc", ns=(11, 13))
    stubs.remove(str(tree), root.stubs)
    assert os.listdir(tree / "etc") == ["file"] and times(tree / "etc")[1] == 13


def test_replaced_directory_is_not_followed(tree: Path) -> None:
    root = make_stubs(tree, ("/etc/b/c", "file"))
    outside = tree.parent / "outside"
    (outside / "c").touch()
    (tree / "etc/b/c").unlink()
    (tree / "etc/b").rmdir()
    (tree / "etc/b").symlink_to(outside)
    stubs.remove(str(tree), root.stubs)
    assert (outside / "c").exists() and (tree / "etc/b").is_symlink()


def test_what_is_kept_is_no_stub(tree: Path) -> None:
    root = Root(str(tree))
    os.close(root.open("/proc", "directory", keep=True))
    assert root.stubs == [] and (tree / "proc").is_dir()
