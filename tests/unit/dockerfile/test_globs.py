"""Glob patterns of COPY sources, against Go's filepath.Match."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builder.dockerfile.globs import Glob, InvalidPattern, has_wildcards


@pytest.mark.parametrize(
    ("pattern", "path", "matches"),
    [
        # the table of Go's own tests
        ("abc", "abc", True),
        ("*", "abc", True),
        ("*c", "abc", True),
        ("a*", "a", True),
        ("a*", "abc", True),
        ("a*", "ab/c", False),
        ("a*/b", "abc/b", True),
        ("a*/b", "a/c/b", False),
        ("a*b*c*d*e*/f", "axbxcxdxe/f", True),
        ("a*b*c*d*e*/f", "axbxcxdxexxx/f", True),
        ("a*b*c*d*e*/f", "axbxcxdxe/xxx/f", False),
        ("a*b*c*d*e*/f", "axbxcxdxexxx/fff", False),
        ("a*b?c*x", "abxbbxdbxebxczzx", True),
        ("a*b?c*x", "abxbbxdbxebxczzy", False),
        ("ab[c]", "abc", True),
        ("ab[b-d]", "abc", True),
        ("ab[e-g]", "abc", False),
        ("ab[^c]", "abc", False),
        ("ab[^b-d]", "abc", False),
        ("ab[^e-g]", "abc", True),
        ("a\\*b", "a*b", True),
        ("a\\*b", "ab", False),
        ("a?b", "a☺b", True),
        ("a[^a]b", "a☺b", True),
        ("a???b", "a☺b", False),
        ("a[^a][^a][^a]b", "a☺b", False),
        ("[a-ζ]*", "α", True),
        ("*[a-ζ]", "A", False),
        ("a?b", "a/b", False),
        ("a*b", "a/b", False),
        ("[\\]a]", "]", True),
        ("[\\-]", "-", True),
        ("[x\\-]", "x", True),
        ("[x\\-]", "-", True),
        ("[x\\-]", "z", False),
        ("[\\-x]", "x", True),
        ("[\\-x]", "a", False),
        ("*x", "xxx", True),
        # a class may match a slash, a range may be empty, ! is a character
        ("a[^b]c", "a/c", True),
        ("a[.-0]c", "a/c", True),
        ("[z-a]", "m", False),
        ("[^z-a]", "m", True),
        ("[!a]", "!", True),
        ("[!a]", "b", False),
        ("[[]", "[", True),
        ("a]", "a]", True),
        # characters of regular expressions
        ("a.b+(c)|{d}$^", "a.b+(c)|{d}$^", True),
        ("a.b", "axb", False),
        ("a", "a\n", False),
        ("a*", "a\nb", True),
        # ** is any number of components
        ("**", "a", True),
        ("**", "a/b/c", True),
        ("**/c", "c", True),
        ("**/c", "a/b/c", True),
        ("**/c", "a/bc", False),
        ("a/**", "a/b", True),
        ("a/**", "a/b/c", True),
        ("a/**", "a", False),
        ("a/**/c", "a/c", True),
        ("a/**/c", "a/b/b/c", True),
        ("a/**/c", "ac", False),
        ("**/*.txt", "a/b.txt", True),
        ("**/a/**", "x/a/y/z", True),
        ("**/**", "a", True),
        # within a component two stars are one
        ("a**b", "axxb", True),
        ("a**b", "a/b", False),
        ("**b", "a/b", False),
        ("**b", "ab", True),
        ("a/**b", "a/xb", True),
    ],
)
def test_matches(pattern, path, matches):
    assert Glob.parse(pattern).matches(path) is matches


@pytest.mark.parametrize(
    "pattern",
    ["[", "[^", "[]", "[]a]", "[-]", "[x-]", "[-x]", "[a-b-c]", "[a", "[^bc", "a[", "a\\", "[\\", "**/[", "[a-"],
)
def test_a_pattern_that_is_not_well_formed(pattern):
    with pytest.raises(InvalidPattern, match="syntax error in pattern"):
        Glob.parse(pattern)


@pytest.mark.parametrize(
    ("pattern", "has"),
    [
        ("a", False),
        ("a*", True),
        ("a?", True),
        ("[a]", True),
        ("a]", False),
        ("\\*a", False),
        ("\\\\*", True),
        ("a\\", False),
    ],
)
def test_wildcards_are_seen(pattern, has):
    assert has_wildcards(pattern) is has


def _reference(pattern: list[str], path: list[str]) -> bool:
    """Components against components, by the definition of ``**``."""
    if not pattern:
        return not path
    if pattern[0] == "**":
        tails = range(1 if len(pattern) == 1 else 0, len(path) + 1)
        return any(_reference(pattern[1:], path[tail:]) for tail in tails)
    return bool(path) and _component(pattern[0], path[0]) and _reference(pattern[1:], path[1:])


def _component(pattern: str, name: str) -> bool:
    if not pattern:
        return not name
    if pattern[0] == "*":
        return any(_component(pattern[1:], name[index:]) for index in range(len(name) + 1))
    return bool(name) and pattern[0] in (name[0], "?") and _component(pattern[1:], name[1:])


@given(
    st.lists(st.one_of(st.just("**"), st.text("ab*?.", min_size=1, max_size=4)), min_size=1, max_size=4),
    st.lists(st.text("ab.", min_size=1, max_size=3), min_size=1, max_size=4),
)
def test_globs_are_what_their_definition_says(pattern, path):
    assert Glob.parse("/".join(pattern)).matches("/".join(path)) is _reference(pattern, path)
