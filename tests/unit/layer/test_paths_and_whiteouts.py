"""Paths of members, and the names by which layers remove files."""

from __future__ import annotations

import posixpath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builder.errors import LayerError
from builder.layer.paths import inside, join, normalised, parents, split
from builder.layer.whiteouts import is_reserved, opaque_directory, whited_out, whiteout_name


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("", ""), (".", ""), ("./", ""), ("/", ""), ("//", ""), ("a", "a"), ("a/", "a"), ("/a", "a"), ("//a", "a"),
        ("./a/b", "a/b"), ("a//b", "a/b"), ("a/./b", "a/b"), ("a/b/.", "a/b"), ("a/b/..", "a"), ("a/../a", "a"),
        ("...", "..."), ("..a", "..a"), (".a", ".a"), ("a/..b", "a/..b"), ("a/.b", "a/.b"), ("a b", "a b"),
    ],
)  # fmt: skip
def test_names_of_members(name: str, path: str) -> None:
    assert normalised(name) == path


@pytest.mark.parametrize("name", ["..", "../a", "/..", "/../a", "a/../..", "./../a", "a/b/../../../c", "//.."])
def test_names_that_lead_outside(name: str) -> None:
    with pytest.raises(LayerError, match="outside of its root"):
        normalised(name)


@given(st.text(st.sampled_from("ab./"), max_size=12))
def test_normalised_is_what_posix_says(name: str) -> None:
    expected = posixpath.normpath(name.strip("/") or ".")
    if expected == ".." or expected.startswith("../"):
        with pytest.raises(LayerError):
            normalised(name)
    else:
        assert normalised(name) == ("" if expected == "." else expected)


@given(st.text(st.sampled_from("ab./"), max_size=12))
def test_a_users_path_stays_inside(path: str) -> None:
    result = inside(path)
    assert not result.startswith("/") and ".." not in result.split("/") and "." not in result.split("/")
    assert posixpath.normpath("/" + path).lstrip("/") == result


def test_joining_and_splitting() -> None:
    assert [join("", ""), join("a", ""), join("", "b"), join("a", "b")] == ["", "a", "b", "a/b"]
    assert [split(""), split("a"), split("a/b/c")] == [("", ""), ("", "a"), ("a/b", "c")]
    assert [parents(""), parents("a"), parents("a/b/c")] == [[], [], ["a", "a/b"]]


@pytest.mark.parametrize(
    ("member", "gone", "opaque", "reserved"),
    [
        (".wh.a", "a", None, False),
        ("d/.wh.a", "d/a", None, False),
        ("d/.wh..a", "d/.a", None, False),
        (".wh..wh..opq", None, "", True),
        ("d/e/.wh..wh..opq", None, "d/e", True),
        (".wh..wh.plnk", None, None, True),
        (".wh..wh.plnk/1.2", None, None, True),
        (".wh..wh.plnk/.wh.x", None, None, True),
        ("d/.wh..wh.aufs", None, None, True),
        ("a.wh.b", None, None, False),
        ("d/wh.a", None, None, False),
        (".wh", None, None, False),
    ],
)
def test_what_a_name_means(member: str, gone: str | None, opaque: str | None, reserved: bool) -> None:
    assert (whited_out(member), opaque_directory(member), is_reserved(member)) == (gone, opaque, reserved)


@pytest.mark.parametrize("path", ["a", "d/a", "d/.hidden"])
def test_the_name_of_a_whiteout(path: str) -> None:
    assert whited_out(whiteout_name(path)) == path
