"""The FileTree: resolution of links, changes, forks; against a plain dictionary of paths."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builder.layer.entry import Entry, Kind
from builder.rootfs.tree import DEFAULT_DIRECTORY, FileTree, Found, TooManyLinks, merged, with_parents

DIRECTORY, FILE = Entry(Kind.DIRECTORY, 0o700, 5, 6), Entry(Kind.FILE, 0o644, size=1)


def link(target: str) -> Entry:
    return Entry(Kind.SYMLINK, 0o777, link=target)


def tree_of(**entries: Entry) -> FileTree:
    tree = FileTree()
    for path, entry in entries.items():
        tree.put(path.replace("__", "/"), entry)
    return tree


def contents(tree: FileTree) -> dict[str, Entry]:
    return dict(tree.walk())


def sample() -> FileTree:
    tree = FileTree()
    for path, entry in {
        "usr/bin/sh": FILE,
        "bin": link("usr/bin"),
        "abs": link("/usr/bin"),
        "up": link("../../../usr"),
        "deep/er/link": link("../../bin/sh"),
        "dangling": link("no/where"),
        "dangling-abs": link("/no/where"),
        "self": link("self"),
        "a": link("b"),
        "b": link("a/x"),
        "chain1": link("chain2"),
        "chain2": link("./chain3/"),
        "chain3": link("usr"),
        "file": FILE,
    }.items():
        tree.put(path, entry)
    return tree


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("", ""), ("/", ""), (".", ""), ("..", ""), ("../../usr", "usr"), ("/usr//bin/./sh", "usr/bin/sh"),
        ("bin", "usr/bin"), ("bin/", "usr/bin"), ("bin/sh", "usr/bin/sh"), ("abs/sh", "usr/bin/sh"),
        ("up/bin/sh", "usr/bin/sh"), ("deep/er/link", "usr/bin/sh"), ("bin/..", "usr"), ("bin/../bin/sh", "usr/bin/sh"),
        ("chain1/bin/sh", "usr/bin/sh"), ("usr/bin/../../../../file", "file"),
    ],
)  # fmt: skip
def test_what_is_there(path: str, found: str) -> None:
    tree = sample()
    assert tree.find(path) == Found(found, tree.entry(found))
    assert tree.entry(found) is not None


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("nothing", "nothing"), ("nothing/below/it", "nothing/below/it"), ("usr/bin/new", "usr/bin/new"),
        ("bin/new", "usr/bin/new"), ("dangling", "no/where"), ("dangling/x", "no/where/x"),
        ("dangling-abs/x", "no/where/x"),
        ("file/below", "file/below"),
    ],
)  # fmt: skip
def test_what_is_not_there_resolves_to_where_it_would_be(path: str, found: str) -> None:
    assert sample().find(path) == Found(found, None)


def test_the_last_part_is_not_followed_unless_asked_for() -> None:
    tree = sample()
    assert tree.find("bin", follow=False) == Found("bin", link("usr/bin"))
    assert tree.find("bin/sh", follow=False).path == "usr/bin/sh"
    assert tree.find("deep/er/link", follow=False).path == "deep/er/link"


@pytest.mark.parametrize("path", ["self", "self/x", "a", "b", "a/y"])
def test_links_in_a_circle(path: str) -> None:
    with pytest.raises(TooManyLinks, match=f"too many levels of symbolic links: /{path}"):
        sample().find(path)


def test_a_long_chain_of_links_is_followed() -> None:
    tree = FileTree()
    for number in range(100):
        tree.put(f"l{number}", link(f"l{number + 1}"))
    tree.put("l100", FILE)
    assert tree.find("l0").path == "l100"


def test_reading() -> None:
    tree = sample()
    assert tree.names("usr") == ["bin"]
    assert tree.names("file") == tree.names("nothing") == tree.names("bin") == []
    assert dict(tree.children("deep")) == {"er": DEFAULT_DIRECTORY}
    assert (tree.is_directory("usr"), tree.is_directory("bin"), tree.is_directory("x")) == (True, False, False)
    assert tree.entry("file/x") is None and tree.entry("bin/sh") is None
    assert [path for path, _ in tree.walk("deep")] == ["deep/er", "deep/er/link"]
    assert list(tree.walk("file")) == []


def test_walking_is_sorted_with_parents_first() -> None:
    tree = tree_of(b__z=FILE, a=FILE, b__a__x=FILE, c=DIRECTORY)
    tree.put("b-", FILE)
    assert [path for path, _ in tree.walk()] == ["a", "b", "b/a", "b/a/x", "b/z", "b-", "c"]


def test_put_makes_parents_that_are_roots() -> None:
    tree = FileTree()
    tree.put("a/b/c", FILE)
    assert contents(tree) == {"a": DEFAULT_DIRECTORY, "a/b": DEFAULT_DIRECTORY, "a/b/c": FILE}


def test_a_directory_over_a_directory_keeps_what_is_in_it() -> None:
    tree = tree_of(d__f=FILE)
    tree.put("d", DIRECTORY)
    assert contents(tree) == {"d": DIRECTORY, "d/f": FILE}


@pytest.mark.parametrize("entry", [FILE, link("d"), Entry(Kind.FIFO, 0o600), Entry(Kind.CHAR, 0o600, device=(1, 3))])
def test_anything_else_replaces_a_directory_with_all_below(entry: Entry) -> None:
    tree = tree_of(d__e__f=FILE)
    tree.put("d", entry)
    assert contents(tree) == {"d": entry}
    tree.put("d", DIRECTORY)
    assert contents(tree) == {"d": DIRECTORY}


def test_a_path_through_a_file_makes_it_a_directory() -> None:
    tree = tree_of(f=FILE)
    tree.put("f/below", FILE)
    assert contents(tree) == {"f": DEFAULT_DIRECTORY, "f/below": FILE}


def test_the_root_itself() -> None:
    tree = tree_of(f=FILE)
    tree.put("", DIRECTORY)
    assert tree.entry("") == DIRECTORY
    assert not tree.remove("")
    assert contents(tree) == {"f": FILE}
    tree.clear("")
    assert (tree.entry(""), contents(tree)) == (DIRECTORY, {})


def test_removing() -> None:
    tree = tree_of(d__e__f=FILE, d__g=FILE)
    assert not tree.remove("nothing") and not tree.remove("d/nothing/x") and not tree.remove("d/g/x")
    assert tree.remove("d/e")
    assert contents(tree) == {"d": DEFAULT_DIRECTORY, "d/g": FILE}
    tree.clear("d")
    tree.clear("d/g")
    tree.clear("nothing")
    assert contents(tree) == {"d": DEFAULT_DIRECTORY}


def test_forks_do_not_see_each_others_changes() -> None:
    first = tree_of(d__e__f=FILE, g=FILE)
    second = first.fork()
    third = second.fork()
    first.put("d/e/new", FILE)
    second.remove("d/e/f")
    second.put("d", DIRECTORY)
    third.put("d/e", FILE)
    third.put("", DIRECTORY)
    assert sorted(contents(first)) == ["d", "d/e", "d/e/f", "d/e/new", "g"]
    assert (sorted(contents(second)), second.entry("d")) == (["d", "d/e", "g"], DIRECTORY)
    assert sorted(contents(third)) == ["d", "d/e", "g"]
    assert (first.entry("d"), first.entry("")) == (DEFAULT_DIRECTORY, DEFAULT_DIRECTORY)


def test_applying_changes() -> None:
    tree = tree_of(d__old=FILE, d__kept=FILE, gone=FILE)
    tree.apply({"d": DIRECTORY, "d/old": None, "d/new": FILE, "gone": None, "never": None})
    assert contents(tree) == {"d": DIRECTORY, "d/kept": FILE, "d/new": FILE}


def test_parents_of_changes() -> None:
    tree = tree_of(a__b__c=FILE, a=DIRECTORY)
    assert with_parents(tree, {"a/b/c": FILE, "a/b/gone": None}) == {
        "a": DIRECTORY,
        "a/b": DEFAULT_DIRECTORY,
        "a/b/c": FILE,
        "a/b/gone": None,
    }
    assert with_parents(tree, {"a": FILE}) == {"a": FILE}
    assert with_parents(tree, {}) == {}


names = st.sampled_from(["a", "b", "c"])
paths = st.lists(names, min_size=1, max_size=4).map("/".join)
entries = st.sampled_from([DIRECTORY, DEFAULT_DIRECTORY, FILE, link("a"), Entry(Kind.FIFO, 0o600)])
operations = st.lists(
    st.one_of(
        st.tuples(st.just("put"), paths, entries),
        st.tuples(st.just("remove"), paths),
        st.tuples(st.just("clear"), paths),
        st.tuples(st.just("fork")),
        st.tuples(st.just("switch")),
    ),
    max_size=25,
)


class Model:
    """A tree as a dictionary of all paths."""

    def __init__(self, entries: dict[str, Entry] | None = None) -> None:
        self.entries = dict(entries or {})

    def below(self, path: str) -> list[str]:
        return [each for each in self.entries if each.startswith(path + "/")]

    def remove(self, path: str) -> bool:
        for each in self.below(path):
            del self.entries[each]
        return self.entries.pop(path, None) is not None

    def clear(self, path: str) -> None:
        if path in self.entries:
            for each in self.below(path):
                del self.entries[each]

    def put(self, path: str, entry: Entry) -> None:
        parts = path.split("/")
        for count in range(1, len(parts)):
            parent = "/".join(parts[:count])
            if self.entries.get(parent, FILE).kind is not Kind.DIRECTORY:
                self.entries[parent] = DEFAULT_DIRECTORY
        if entry.kind is not Kind.DIRECTORY:
            self.remove(path)
        self.entries[path] = entry


@settings(max_examples=200, deadline=None)
@given(operations)
def test_against_a_dictionary_of_all_paths(todo: list[tuple]) -> None:
    pairs = [(FileTree(), Model())]
    for name, *arguments in todo:
        tree, model = pairs[-1]
        if name == "fork":
            pairs.append((tree.fork(), Model(model.entries)))
        elif name == "switch":
            pairs.insert(0, pairs.pop())
        else:
            assert getattr(tree, name)(*arguments) == getattr(model, name)(*arguments)
    for tree, model in pairs:
        assert contents(tree) == model.entries
        for path in ("a", "a/b", "b/c/a"):
            assert tree.entry(path) == model.entries.get(path)
            below = [each for each in model.entries if each.rpartition("/")[0] == path]
            assert tree.names(path) == sorted(each.rpartition("/")[2] for each in below)


changes = st.dictionaries(paths, st.one_of(st.none(), entries), max_size=6)


def consistent(changes: dict[str, Entry | None]) -> dict[str, Entry | None]:
    """Changes as instructions make them: nothing below what is removed or is no directory."""
    return {
        path: entry
        for path, entry in changes.items()
        if all(
            (changes.get(parent) or DIRECTORY).kind is Kind.DIRECTORY and (parent not in changes or changes[parent])
            for parent in ("/".join(path.split("/")[:count]) for count in range(1, path.count("/") + 1))
        )
    }


@settings(max_examples=100, deadline=None)
@given(changes, st.lists(changes, min_size=2, max_size=4))
def test_merged_changes_have_the_effect_of_all(before: dict[str, Entry | None], steps: list[dict]) -> None:
    base = FileTree()
    base.apply(consistent(before))
    one_by_one, at_once = base.fork(), base.fork()
    together: dict[str, Entry | None] = {}
    for step in steps:
        complete = consistent(step)
        one_by_one.apply(complete)
        complete = with_parents(one_by_one, complete)
        together = merged(together, complete, base)
    at_once.apply(together)
    assert contents(at_once) == contents(one_by_one)
