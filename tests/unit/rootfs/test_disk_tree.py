"""A directory on disk as a tree to copy from: links inside it, .dockerignore, hardlinks, what cannot be read."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from builder.dockerfile.ignore import IgnoreRules
from builder.errors import ContextError
from builder.layer.entry import Kind
from builder.rootfs.disk_tree import DiskTree
from builder.rootfs.tree import TooManyLinks


@pytest.fixture
def context(tmp_path: Path) -> Path:
    root = tmp_path / "context"
    (root / "app/sub").mkdir(parents=True)
    (root / "app/main").write_bytes(b"main")
    (root / "app/main").chmod(0o4750)
    (root / "app/sub/x").write_bytes(b"x")
    os.utime(root / "app/main", (5, -3.5))
    (root / "link").symlink_to("app/main")
    (root / "out").symlink_to("../../../../app")
    (root / "absolute").symlink_to("/app/sub")
    (root / "circle").symlink_to("circle")
    return root


def test_entries(context: Path) -> None:
    tree = DiskTree(str(context))
    main = tree.entry("app/main")
    assert main[:6] == (Kind.FILE, 0o4750, 0, 0, 4, -4)
    assert main.content.open().read() == b"main"
    assert (tree.entry("link").kind, tree.entry("link").link) == (Kind.SYMLINK, "app/main")
    assert tree.entry("").kind is tree.entry("app").kind is Kind.DIRECTORY
    for missing in ("nothing", "app/main/below", "link/below", "nothing/below", "out/main"):
        assert tree.entry(missing) is None


def test_owners_are_root(context: Path) -> None:
    if os.getuid() == 0:
        os.chown(context / "app/main", 1000, 1000)
    entry = DiskTree(str(context)).entry("app/main")
    assert (entry.uid, entry.gid) == (0, 0)


def test_names(context: Path) -> None:
    tree = DiskTree(str(context))
    assert tree.names("") == ["absolute", "app", "circle", "link", "out"]
    assert tree.names("app") == ["main", "sub"]
    assert tree.names("app/main") == tree.names("link") == tree.names("nothing") == []


def test_links_stay_inside(context: Path) -> None:
    tree = DiskTree(str(context))
    assert tree.find("link").path == "app/main"
    assert tree.find("out/main").path == "app/main"
    assert tree.find("absolute/x").path == "app/sub/x"
    assert tree.find("out", follow=False).path == "out"
    assert tree.find("../../etc/passwd") == ("etc/passwd", None)
    with pytest.raises(TooManyLinks):
        tree.find("circle")


def test_hardlinks_are_one_entry(context: Path) -> None:
    os.link(context / "app/main", context / "hard")
    tree = DiskTree(str(context))
    assert tree.entry("hard") is tree.entry("app/main")
    assert tree.entry("hard") is not tree.entry("app/sub/x")


def test_what_was_looked_at_stays_the_same(context: Path) -> None:
    tree = DiskTree(str(context))
    before = tree.entry("app/main"), tree.names("app")
    (context / "app/main").unlink()
    assert (tree.entry("app/main"), tree.names("app")) == before


def test_sockets_are_not_there(context: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        old = os.getcwd()
        os.chdir(context)
        try:
            server.bind("s")
        finally:
            os.chdir(old)
    tree = DiskTree(str(context))
    assert tree.entry("s") is None
    assert "s" not in tree.names("")


def test_names_that_are_no_utf8(context: Path) -> None:
    Path(os.fsdecode(bytes(context) + b"/caf\xe9")).write_bytes(b"1")
    tree = DiskTree(str(context))
    assert "caf\udce9" in tree.names("")
    assert tree.entry("caf\udce9").size == 1


def test_ignored_files(context: Path) -> None:
    (context / "node_modules/a/b").mkdir(parents=True)
    (context / "node_modules/a/b/keep").touch()
    (context / "node_modules/a/drop").touch()
    (context / "cache").mkdir()
    (context / "cache/c").touch()
    tree = DiskTree(str(context), IgnoreRules.parse("node_modules\n!node_modules/a/b\ncache\napp/m*\n"))
    assert tree.names("") == ["absolute", "app", "circle", "link", "node_modules", "out"]
    assert tree.names("app") == ["sub"]
    assert tree.names("node_modules") == ["a"]
    assert tree.names("node_modules/a") == ["b"]
    assert tree.names("node_modules/a/b") == ["keep"]
    for path in ("cache", "cache/c", "app/main", "node_modules/a/drop"):
        assert tree.entry(path) is None
        assert tree.is_ignored(path)
    assert tree.find("link").entry is None
    assert not tree.is_ignored("nothing") and not tree.is_ignored("app")
    assert not DiskTree(str(context)).is_ignored("cache")


def test_an_ignored_directory_is_there_only_if_an_exception_finds_something(context: Path) -> None:
    (context / "docs/a").mkdir(parents=True)
    (context / "docs/a/x.txt").touch()
    rules = "docs\n!docs/**/*.md\n"
    assert DiskTree(str(context), IgnoreRules.parse(rules)).entry("docs") is None
    (context / "docs/a/x.md").touch()
    tree = DiskTree(str(context), IgnoreRules.parse(rules))
    assert (tree.names("docs"), tree.names("docs/a")) == (["a"], ["x.md"])


def test_everything_ignored_but_one(context: Path) -> None:
    tree = DiskTree(str(context), IgnoreRules.parse("*\n!app/sub\n"))
    assert tree.names("") == ["app"]
    assert tree.names("app") == ["sub"]
    assert tree.names("app/sub") == ["x"]


@pytest.mark.usefixtures("as_root")
def test_what_cannot_be_read(scratch: Path) -> None:
    context = scratch / "context"
    (context / "closed").mkdir(parents=True)
    (context / "closed/f").touch()
    (context / "closed").chmod(0o000)
    child = os.fork()
    if child == 0:
        status = 1
        try:
            os.setresuid(65534, 65534, 65534)
            tree = DiskTree(str(context))
            assert tree.names("") == ["closed"]
            for ask in (lambda: tree.names("closed"), lambda: tree.entry("closed/f")):
                with pytest.raises(ContextError, match=r"cannot read closed.*: Permission denied"):
                    ask()
            status = 0
        finally:
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0


def test_a_name_that_is_too_long(context: Path) -> None:
    with pytest.raises(ContextError, match="File name too long"):
        DiskTree(str(context)).entry("x" * 300)
