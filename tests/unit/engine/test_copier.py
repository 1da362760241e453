"""COPY upon a tree: what ends up where, with which owner, mode and time."""

from __future__ import annotations

from pathlib import Path

import pytest
from trees import entry, spec_of, specs_of, tree_of

from builder.dockerfile.ignore import IgnoreRules
from builder.engine.copying.copier import Copier, CopyConflict, CopyOptions
from builder.engine.copying.modes import parse_mode
from builder.layer.entry import Kind
from builder.rootfs.disk_tree import DiskTree
from builder.rootfs.tree import FileTree, TooManyLinks

SOURCE = {
    "f": "f640=5:6@7>file",
    "suid": "f4755@8>suid",
    "d": "d700=5:6@9",
    "d/a": "f@10>a",
    "d/sub": "d711=7:8@11",
    "d/sub/b": "f600@12>b",
    "d/l": "l>../f",
    "lf": "l>f",
    "ld": "l>d/sub",
    "labs": "l>/d/a",
    "lout": "l>../../../d/a",
    "empty": "d@13",
    "pipe": "p@14",
}

NOW = CopyOptions(now=99)

COPIES: list[tuple[str, dict[str, str], str, str, dict[str, str]]] = [
    # what, the tree before, source, destination, and the changes
    ("a file to a path", {}, "f", "/x", {"x": "f640=5:6@7>file"}),
    ("a file to a path below what is missing", {}, "f", "/n/x", {"n": "d@99", "n/x": "f640=5:6@7>file"}),
    ("a file to a directory", {"opt": "d711=1:1@3"}, "f", "/opt", {"opt/f": "f640=5:6@7>file"}),
    ("a file to a directory with a slash", {"opt": "d711=1:1@3"}, "f", "/opt/", {"opt/f": "f640=5:6@7>file"}),
    ("a file to a directory that is missing", {}, "f", "/n/", {"n": "d@99", "n/f": "f640=5:6@7>file"}),
    ("a file over a file", {"x": "f755=9:9>old"}, "f", "/x", {"x": "f640=5:6@7>file"}),
    ("a file over a link in a directory", {"o": "d", "o/f": "l>/x", "x": "f"}, "f", "/o/", {"o/f": "f640=5:6@7>file"}),
    ("a file to the root", {}, "f", "/", {"f": "f640=5:6@7>file"}),
    ("special bits", {}, "suid", "/x", {"x": "f4755@8>suid"}),
    ("a pipe", {}, "pipe", "/x", {"x": "p@14"}),
    ("a link that is named is followed", {}, "lf", "/n/", {"n": "d@99", "n/lf": "f640=5:6@7>file"}),
    ("an absolute link is followed inside", {}, "labs", "/x", {"x": "f@10>a"}),
    ("a link that leads out is followed inside", {}, "lout", "/x", {"x": "f@10>a"}),
    ("a link to a directory is followed", {}, "ld", "/n", {"n": "d@99", "n/b": "f600@12>b"}),
    (
        "a directory to what is missing",
        {},
        "d",
        "/n",
        {"n": "d@99", "n/a": "f@10>a", "n/l": "l>../f", "n/sub": "d711=7:8@11", "n/sub/b": "f600@12>b"},
    ),
    (
        "a directory to what is missing, with a slash",
        {},
        "d/sub",
        "/n/m/",
        {"n": "d@99", "n/m": "d@99", "n/m/b": "f600@12>b"},
    ),
    ("a directory to one that keeps its metadata", {"o": "d1777=3:4@5"}, "d/sub", "/o", {"o/b": "f600@12>b"}),
    (
        "a directory to one with the same below, which takes the source's metadata",
        {"o": "d1777=3:4@5", "o/sub": "d777=3:4@5", "o/sub/kept": "f>kept", "o/a": "f>old"},
        "d",
        "/o/",
        {"o/a": "f@10>a", "o/l": "l>../f", "o/sub": "d711=7:8@11", "o/sub/b": "f600@12>b"},
    ),
    ("an empty directory to what is missing", {}, "empty", "/n", {"n": "d@99"}),
    ("an empty directory to what is there", {"o": "d"}, "empty", "/o", {}),
    ("everything to the root", {}, "d/sub", "/", {"b": "f600@12>b"}),
    ("the destination is a link to a directory", {"o": "d700", "l": "l>o"}, "f", "/l", {"o/f": "f640=5:6@7>file"}),
    ("a link to a directory, with a slash", {"o": "d", "l": "l>/o"}, "f", "/l/", {"o/f": "f640=5:6@7>file"}),
    ("the destination is a link to a file", {"o": "f>old", "l": "l>o"}, "f", "/l", {"o": "f640=5:6@7>file"}),
    ("the destination is a link to nothing", {"l": "l>n"}, "f", "/l", {"n": "f640=5:6@7>file"}),
    ("a link to nothing, with a slash", {"l": "l>n"}, "f", "/l/", {"n": "d@99", "n/f": "f640=5:6@7>file"}),
    ("a link on the way", {"o": "d", "l": "l>o"}, "f", "/l/n/x", {"o/n": "d@99", "o/n/x": "f640=5:6@7>file"}),
    ("a link out of the root on the way", {"o": "d", "l": "l>../../../../o"}, "f", "/l/x", {"o/x": "f640=5:6@7>file"}),
    ("dots in the destination", {"o": "d", "p": "d"}, "f", "/o/../../p/./x", {"p/x": "f640=5:6@7>file"}),
    ("a destination that ends in a dot", {}, "f", "/n/.", {"n": "d@99", "n/f": "f640=5:6@7>file"}),
    ("dots out of the root", {}, "f", "/../../x", {"x": "f640=5:6@7>file"}),
]  # fmt: skip


def run(before: dict[str, str], source: str, destination: str, options: CopyOptions = NOW) -> tuple[FileTree, Copier]:
    tree = tree_of(before)
    copier = Copier(tree, options)
    copier.copy(tree_of(SOURCE), source, destination)
    return tree, copier


def changes_of(copier: Copier) -> dict[str, str | None]:
    return {path: spec_of(each) for path, each in copier.changes.items()}


@pytest.mark.parametrize(
    ("before", "source", "destination", "expected"), [pytest.param(*case, id=name) for name, *case in COPIES]
)
def test_copying(before: dict[str, str], source: str, destination: str, expected: dict[str, str]) -> None:
    tree, copier = run(before, source, destination)
    assert changes_of(copier) == expected
    assert specs_of(tree) == {**specs_of(tree_of(before)), **expected}


@pytest.mark.parametrize(
    ("before", "source", "destination", "message"),
    [
        ({"x": "f"}, "d", "/x", "cannot copy a directory to /x, which is not one"),
        ({"x": "f"}, "d", "/x/", "/x is not a directory"),
        ({"x": "f"}, "f", "/x/", "/x is not a directory"),
        ({"x": "f"}, "f", "/x/y", "/x is not a directory"),
        ({"x": "p"}, "f", "/x/y/z", "/x is not a directory"),
        ({"l": "l>x", "x": "f"}, "d", "/l", "cannot copy a directory to /x, which is not one"),
        ({"o": "d", "o/f": "d"}, "f", "/o/", "cannot replace the directory /o/f by a file"),
        ({"o": "d", "o/a": "d"}, "d", "/o/", "cannot replace the directory /o/a by a file"),
        ({"o": "d", "o/sub": "f"}, "d", "/o/", "cannot copy a directory to /o/sub, which is not one"),
        ({"o": "d", "o/sub": "l>/elsewhere", "elsewhere": "d"}, "d", "/o/", "cannot copy a directory to /o/sub"),
    ],
)
def test_conflicts(before: dict[str, str], source: str, destination: str, message: str) -> None:
    with pytest.raises(CopyConflict, match=message):
        run(before, source, destination)


def test_a_destination_in_a_circle() -> None:
    with pytest.raises(TooManyLinks):
        run({"l": "l>l"}, "f", "/l/x")


def test_the_owner_of_everything() -> None:
    _, copier = run({"o": "d", "o/sub": "d"}, "d", "/o/n/", CopyOptions(owner=(33, 44), now=99))
    assert {(each.uid, each.gid) for each in copier.changes.values()} == {(33, 44)}
    assert list(copier.changes) == ["o/n", "o/n/a", "o/n/l", "o/n/sub", "o/n/sub/b"]


def test_the_mode_of_everything_but_links() -> None:
    _, copier = run({}, "d", "/n/m/", CopyOptions(mode=parse_mode("0600"), parent_mode=0o600, now=99))
    modes = {path: each.mode for path, each in copier.changes.items()}
    assert modes == {"n": 0o600, "n/m": 0o600, "n/m/a": 0o600, "n/m/l": 0o777, "n/m/sub": 0o600, "n/m/sub/b": 0o600}


def test_symbolic_modes_see_what_is_a_directory() -> None:
    _, copier = run({"n": "d"}, "d", "/n/", CopyOptions(mode=parse_mode("u=rwX,go=rX")))
    modes = {path: each.mode for path, each in copier.changes.items()}
    assert modes == {"n/a": 0o644, "n/l": 0o777, "n/sub": 0o755, "n/sub/b": 0o644}


def test_one_time_for_everything() -> None:
    _, copier = run({}, "d", "/n/m/", CopyOptions(time=1234, now=99))
    assert {each.mtime for each in copier.changes.values()} == {1234}


@pytest.mark.parametrize("options", [CopyOptions(), CopyOptions(owner=(1, 2), mode=parse_mode("600"), time=5)])
def test_hardlinks_among_what_is_copied(options: CopyOptions) -> None:
    sources = tree_of({"d": "d", "d/a": "f>x", "d/b": "=d/a", "d/c": "f>x", "e": "=d/a"})
    tree = FileTree()
    copier = Copier(tree, options)
    copier.copy(sources, "d", "/n/")
    assert tree.entry("n/a") is tree.entry("n/b")
    assert tree.entry("n/a") is not tree.entry("n/c")
    copier.copy(sources, "e", "/n/")
    assert tree.entry("n/e") is tree.entry("n/a")


def test_capabilities_are_kept_with_a_new_owner() -> None:
    capable = entry("f755>x")._replace(xattrs={"security.capability": b"cap"})
    sources = FileTree()
    sources.put("f", capable)
    copier = Copier(FileTree(), CopyOptions(owner=(1, 1)))
    copier.copy(sources, "f", "/f")
    assert copier.changes["f"].xattrs == {"security.capability": b"cap"}


def test_the_source_stays_as_it_is() -> None:
    sources = tree_of(SOURCE)
    Copier(tree_of({}), CopyOptions(owner=(1, 1), mode=parse_mode("0"), time=0)).copy(sources, "d", "/")
    assert specs_of(sources) == specs_of(tree_of(SOURCE))


def test_directories_below_one_with_setgid_inherit_its_group() -> None:
    _, copier = run({"srv": "d2775=0:50"}, "f", "/srv/a/b/")
    assert changes_of(copier) == {"srv/a": "d2755=0:50@99", "srv/a/b": "d2755=0:50@99", "srv/a/b/f": "f640=5:6@7>file"}


EXCLUDES: list[tuple[list[str], str, set[str]]] = [
    ([], "d", {"a", "l", "sub", "sub/b"}),
    (["a"], "d", {"l", "sub", "sub/b"}),
    (["sub"], "d", {"a", "l"}),
    (["sub/b"], "d", {"a", "l", "sub"}),
    (["b"], "d", {"a", "l", "sub", "sub/b"}),
    (["**/b"], "d", {"a", "l", "sub"}),
    (["*"], "d", set()),
    (["*", "!a"], "d", {"a"}),
    (["sub", "!sub/b"], "d", {"a", "l", "sub", "sub/b"}),
    (["**", "!**/b"], "d", {"sub", "sub/b"}),
    (["sub", "!sub/nothing"], "d", {"a", "l"}),
    (["f"], "f", set()),
    (["*", "!f"], "f", {"f"}),
]


@pytest.mark.parametrize(("patterns", "source", "expected"), EXCLUDES)
def test_excludes(patterns: list[str], source: str, expected: set[str]) -> None:
    _, copier = run({"n": "d"}, source, "/n/", CopyOptions(excludes=IgnoreRules.of(patterns)))
    assert copier.changes.keys() == {f"n/{path}" for path in expected}


def test_an_excluded_directory_above_an_exception_has_the_sources_metadata() -> None:
    _, copier = run({"n": "d"}, "d", "/n/", CopyOptions(excludes=IgnoreRules.of(["sub", "!sub/b"])))
    assert changes_of(copier)["n/sub"] == "d711=7:8@11"


PARENTS: list[tuple[str, str, str, dict[str, str]]] = [
    # pivot, path below it, destination, and the changes
    ("", "f", "/n", {"n": "d@99", "n/f": "f640=5:6@7>file"}),
    ("", "d/sub/b", "/n/", {"n": "d@99", "n/d": "d700=5:6@9", "n/d/sub": "d711=7:8@11", "n/d/sub/b": "f600@12>b"}),
    ("d", "sub/b", "/n/", {"n": "d@99", "n/sub": "d711=7:8@11", "n/sub/b": "f600@12>b"}),
    ("d/sub", "b", "/n/", {"n": "d@99", "n/b": "f600@12>b"}),
    ("", "d/sub", "/", {"d": "d700=5:6@9", "d/sub": "d711=7:8@11", "d/sub/b": "f600@12>b"}),
    ("d", "", "/n/", {"n": "d@99", "n/a": "f@10>a", "n/l": "l>../f", "n/sub": "d711=7:8@11", "n/sub/b": "f600@12>b"}),
    ("", "d/l", "/n/", {"n": "d@99", "n/d": "d700=5:6@9", "n/d/l": "l>../f"}),
    ("", "empty", "/n/", {"n": "d@99", "n/empty": "d@13"}),
]


@pytest.mark.parametrize(("pivot", "path", "destination", "expected"), PARENTS)
def test_copying_with_parents(pivot: str, path: str, destination: str, expected: dict[str, str]) -> None:
    copier = Copier(FileTree(), CopyOptions(now=99))
    copier.copy_with_parents(tree_of(SOURCE), pivot, path, destination)
    assert changes_of(copier) == expected


def test_copying_with_parents_twice_adds_up() -> None:
    copier = Copier(FileTree(), CopyOptions(now=99))
    for path in ("d/sub/b", "d/a"):
        copier.copy_with_parents(tree_of(SOURCE), "", path, "/n/")
    assert list(copier.changes) == ["n", "n/d", "n/d/sub", "n/d/sub/b", "n/d/a"]


def test_copying_with_parents_over_a_file() -> None:
    with pytest.raises(CopyConflict):
        Copier(tree_of({"n": "d", "n/d": "f"}), CopyOptions()).copy_with_parents(tree_of(SOURCE), "", "d/a", "/n/")


def test_excludes_with_parents_are_seen_from_the_pivot() -> None:
    for patterns, expected in (
        (["d/sub/b"], ["n", "n/d", "n/d/sub"]),
        (["sub/b"], ["n", "n/d", "n/d/sub", "n/d/sub/b"]),
    ):
        copier = Copier(FileTree(), CopyOptions(excludes=IgnoreRules.of(patterns)))
        copier.copy_with_parents(tree_of(SOURCE), "", "d/sub", "/n/")
        assert list(copier.changes) == expected


def test_removing_forgets_what_was_copied_below() -> None:
    tree, copier = run({"o": "d", "o/old": "f"}, "d", "/o/")
    copier.remove("o")
    assert changes_of(copier) == {"o": None}
    assert specs_of(tree) == {}
    copier.remove("nothing")
    assert changes_of(copier) == {"o": None}


def test_copying_from_a_directory_on_disk(tmp_path: Path) -> None:
    (tmp_path / "app").mkdir(mode=0o750)
    (tmp_path / "app/f").write_bytes(b"text")
    (tmp_path / "app/f").chmod(0o4711)
    (tmp_path / "app/l").symlink_to("f")
    (tmp_path / "named").symlink_to("app")
    tree = FileTree()
    copier = Copier(tree, CopyOptions())
    copier.copy(DiskTree(str(tmp_path)), "named", "/srv/")
    assert [(path, each.kind, each.mode) for path, each in tree.walk()] == [
        ("srv", Kind.DIRECTORY, 0o755),
        ("srv/f", Kind.FILE, 0o4711),
        ("srv/l", Kind.SYMLINK, 0o777),
    ]
    assert tree.entry("srv/f").content.open().read() == b"text"
