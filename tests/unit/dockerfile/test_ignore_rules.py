"""What .dockerignore and --exclude leave out, against Docker's pattern matcher."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builder.dockerfile.globs import InvalidPattern
from builder.dockerfile.ignore import IgnoreRules


@pytest.mark.parametrize(
    ("rules", "path", "excluded"),
    [
        ("", "a", False),
        ("a", "a", True),
        ("a", "b", False),
        ("a", "a/b/c", True),
        ("a", "x/a", False),
        ("/a", "a", True),
        ("//a//b/../c/", "a/c", True),
        ("./a", "a", True),
        ("a/", "a", True),
        ("  a \t", "a", True),
        ("\ufeffa\r\nb\r\n", "a", True),
        ("a\r\nb\r\n", "b", True),
        ("# a\na", "# a", False),
        ("#a", "#a", False),
        (" #a", "#a", True),
        ("\\#a", "#a", True),
        (".", "a", False),
        ("/", "a", False),
        ("*", "a", True),
        ("*", "a/b", True),
        ("*", ".", False),
        ("**", ".", False),
        ("*/b", "a/b", True),
        ("*/b", "b", False),
        ("*/b", "a/b/c", True),
        ("*/*/b", "x/y/b", True),
        ("a?", "ab", True),
        ("a?", "a/b", False),
        ("*.md", "README.md", True),
        ("*.md", "docs/README.md", False),
        ("**/*.md", "README.md", True),
        ("**/*.md", "a/b/README.md", True),
        ("**/a", "a", True),
        ("**/a", "x/y/a", True),
        ("**/a", "x/ya", False),
        ("**/a", "x/a/b", True),
        ("a/**", "a/b", True),
        ("a/**", "a", False),
        ("a/**/b", "a/b", True),
        ("a/**/b", "a/x/y/b", True),
        ("a/**/b", "axb", False),
        ("**", "a/b", True),
        ("**/**", "a/b", True),
        ("a**", "a", True),
        ("a**", "abc/d", True),
        ("**a", "xa", True),
        ("**a", "x/ya", True),
        ("**.go", "x/y.go", True),
        ("**a?", "xab", False),
        ("**a?", "x/ab", True),
        ("[a-c]", "b", True),
        ("[^a-c]", "b", False),
        ("[^a-c]", "d", True),
        ("a.b", "axb", False),
        ("a+b|(c)$", "a+b|(c)$", True),
        ("a\\*", "a*", True),
        ("a\\*", "ab", False),
        ("é*", "é1", True),
        # exceptions
        ("*\n!a", "a", False),
        ("*\n!a", "a/b", False),
        ("*\n!a", "b", True),
        ("*\n! a ", "a", False),
        ("*\n!/a/", "a", False),
        ("!a\n*", "a", True),
        ("*.md\n!README*.md\nREADME-secret.md", "README.md", False),
        ("*.md\n!README*.md\nREADME-secret.md", "README-secret.md", True),
        ("*.md\nREADME-secret.md\n!README*.md", "README-secret.md", False),
        ("a\n!a/b", "a/b", False),
        ("a\n!a/b", "a/b/c", False),
        ("a\n!a/b", "a/c", True),
        ("a\n!a/b\na/b/c", "a/b/c", True),
        ("a\n!a/b\na/b/c", "a/b/d", False),
        ("a\n!**/*.go", "a/b/c.go", False),
        ("a/*\n!a/b", "a", False),
        ("a/*\n!a/b", "a/b/c", False),
        ("**/x\n!a/x", "a/x/y", False),
        # an exception that could not change anything for the directory is not tried on it again for its files
        ("a/b\n!a", "a/b", True),
        ("a/b\n!a", "a/b/c", True),
        ("a/b\n!a\na/b/c", "a/b/c", True),
        ("*\n!a\na/b\n!a/b/c", "a/b/c", False),
        ("*\n!a\na/b\n!a/b/c", "a/b/d", True),
    ],
)
def test_excludes(rules, path, excluded):
    assert IgnoreRules.parse(rules).excludes(path) is excluded


@pytest.mark.parametrize("rules", ["!", "! ", "!/", "[", "a\n[^", "!a[", "a\\"])
def test_a_rule_that_is_not_well_formed(rules):
    with pytest.raises(InvalidPattern):
        IgnoreRules.parse(rules)


@pytest.mark.parametrize(
    ("patterns", "path", "excluded"),
    [
        (["*.md"], "a.md", True),
        (["*.md", "!a.md"], "a.md", False),
        (["/a"], "a", False),
        (["#a"], "#a", True),
        ([" a ", ""], "a", True),
        (["a/"], "a/b", True),
        ([], "a", False),
    ],
)
def test_excludes_of_a_copy(patterns, path, excluded):
    assert IgnoreRules.of(patterns).excludes(path) is excluded


@pytest.mark.parametrize(
    ("rules", "directory", "may"),
    [
        ("a", "a", False),
        ("*\n!a", "a", False),
        ("*\n!a/b", "a", True),
        ("*\n!a/b", "b", False),
        ("*\n!a/b/c", "a/b", True),
        ("*\n!a/b", "a/b", False),
        ("*\n!a/b", "a/b/c", False),
        ("*\n!a/*", "a", True),
        ("*\n!a/*/c", "a/x", True),
        ("*\n!a/*/c", "b", False),
        ("*\n!**/c", "x/y/z", True),
        ("*\n!a*/c", "b", True),
        ("*\n!a\\ b/c", "a b", True),
    ],
)
def test_directories_that_must_be_walked(rules, directory, may):
    assert IgnoreRules.parse(rules).may_include_below(directory) is may


def test_a_deep_path():
    assert IgnoreRules.parse("**/x").excludes("a/" * 2000 + "x")


def test_rules_know_whether_there_are_any():
    assert not IgnoreRules.parse("# nothing\n\n")
    assert IgnoreRules.parse("a")
    assert IgnoreRules.parse("a\n!b").has_exceptions
    assert not IgnoreRules.parse("a").has_exceptions


_PATHS = st.lists(st.sampled_from("abc"), min_size=1, max_size=4).map("/".join)
_RULES = st.lists(
    st.builds(
        "{}{}".format,
        st.sampled_from(["", "!"]),
        st.lists(st.sampled_from(["a", "b", "c", "*", "**"]), min_size=1, max_size=3).map("/".join),
    ),
    max_size=5,
)


def _component_matches(pattern: list[str], path: list[str]) -> bool:
    if not pattern:
        return not path
    if pattern[0] == "**":
        if len(pattern) == 1:
            return len(path) >= 1
        return any(_component_matches(pattern[1:], path[start:]) for start in range(len(path) + 1))
    return bool(path) and pattern[0] in ("*", path[0]) and _component_matches(pattern[1:], path[1:])


def _reference(rules: list[str], path: str) -> bool:
    """A walk from the top that carries along which rules matched, as the documentation of the matcher has it."""
    matched = [False] * len(rules)
    excluded = False
    components = path.split("/")
    for depth in range(1, len(components) + 1):
        excluded, above, matched = False, matched, []
        for rule, inherited in zip(rules, above, strict=True):
            exception = rule.startswith("!")
            matches = inherited
            if not matches and exception == excluded:
                matches = _component_matches(rule.removeprefix("!").split("/"), components[:depth])
            matched.append(matches)
            if matches:
                excluded = not exception
    return excluded


@given(_RULES, st.lists(_PATHS, min_size=1, max_size=4))
def test_rules_are_what_their_definition_says(rules, paths):
    ignore = IgnoreRules.parse("\n".join(rules))
    for path in paths:
        assert ignore.excludes(path) is _reference(rules, path)


@given(_RULES, _PATHS)
def test_a_directory_that_need_not_be_walked_has_nothing_in_it(rules, path):
    ignore = IgnoreRules.parse("\n".join(rules))
    if ignore.excludes(path) and not ignore.may_include_below(path):
        assert all(ignore.excludes(f"{path}/{below}") for below in ("a", "b", "c", "a/b", "b/c/a"))
