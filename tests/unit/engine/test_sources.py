"""Which paths the sources of COPY name: wildcards, escapes, links on the way, ``..``."""

from __future__ import annotations

import pytest
from trees import tree_of

from builder.dockerfile.globs import InvalidPattern
from builder.engine.copying.sources import matches, matches_below
from builder.rootfs.tree import FileTree


@pytest.fixture
def tree() -> FileTree:
    return tree_of(
        {
            "a.txt": "f",
            "b.txt": "f",
            "c.md": "f",
            "*.txt": "f",
            "[x]": "f",
            "back\\slash": "f",
            "src": "d",
            "src/main.go": "f",
            "src/main_test.go": "f",
            "src/pkg": "d",
            "src/pkg/p.go": "f",
            "src/pkg/deep": "d",
            "src/pkg/deep/d.go": "f",
            "src/.hidden": "f",
            "l": "l>src",
            "caf\udce9": "f",
        }
    )


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("a.txt", ["a.txt"]),
        ("/a.txt", ["a.txt"]),
        ("./a.txt", ["a.txt"]),
        ("../../a.txt", ["a.txt"]),
        ("src/../a.txt", ["a.txt"]),
        ("src/", ["src"]),
        (".", [""]),
        ("/", [""]),
        ("..", [""]),
        ("nothing", ["nothing"]),
        ("l/main.go", ["l/main.go"]),
        ("*.txt", ["*.txt", "a.txt", "b.txt"]),
        ("/*.txt", ["*.txt", "a.txt", "b.txt"]),
        ("?.txt", ["*.txt", "a.txt", "b.txt"]),
        ("[ab].txt", ["a.txt", "b.txt"]),
        ("[^a].txt", ["*.txt", "b.txt"]),
        ("\\*.txt", ["*.txt"]),
        ("\\[x\\]", ["[x]"]),
        ("[[]x]", ["[x]"]),
        ("back\\\\slash", ["back\\slash"]),
        ("a\\.txt", ["a.txt"]),
        ("nothing*", []),
        ("*/main.go", ["src/main.go"]),
        ("src/*.go", ["src/main.go", "src/main_test.go"]),
        ("l/*.go", ["src/main.go", "src/main_test.go"]),
        ("src/*", ["src/.hidden", "src/main.go", "src/main_test.go", "src/pkg"]),
        ("src/*/*.go", ["src/pkg/p.go"]),
        ("src/../src/pk*", ["src/pkg"]),
        ("**/*.go", ["src/main.go", "src/main_test.go", "src/pkg/deep/d.go", "src/pkg/p.go"]),
        ("src/**/*.go", ["src/main.go", "src/main_test.go", "src/pkg/deep/d.go", "src/pkg/p.go"]),
        ("**/deep", ["src/pkg/deep"]),
        ("src/**", ["src/.hidden", "src/main.go", "src/main_test.go", "src/pkg"]),
        ("a.txt/*", []),
        ("nothing/*", []),
        ("../../*.md", ["c.md"]),
        ("caf?", ["caf\udce9"]),
    ],
)
def test_matches(tree: FileTree, pattern: str, expected: list[str]) -> None:
    assert matches(tree, pattern) == expected


@pytest.mark.parametrize(
    ("root", "pattern", "expected"),
    [
        ("", "a.txt", ["a.txt"]),
        ("", ".", [""]),
        ("src", "*.go", ["main.go", "main_test.go"]),
        ("src", "pkg/*.go", ["pkg/p.go"]),
        ("src", "**/*.go", ["main.go", "main_test.go", "pkg/deep/d.go", "pkg/p.go"]),
        ("src", "pkg", ["pkg"]),
        ("src", "p*", ["pkg"]),
        ("", "s*/p*", ["src/pkg"]),
        ("", "\\*.txt", ["*.txt"]),
        ("", "nothing*", []),
    ],
)
def test_matches_below_a_pivot(tree: FileTree, root: str, pattern: str, expected: list[str]) -> None:
    assert matches_below(tree, root, pattern) == expected


@pytest.mark.parametrize("pattern", ["[", "a[", "[a", "[]a]", "a*\\"])
def test_patterns_that_are_not_well_formed(tree: FileTree, pattern: str) -> None:
    with pytest.raises(InvalidPattern):
        matches(tree, pattern)
    with pytest.raises(InvalidPattern):
        matches_below(tree, "", pattern)
