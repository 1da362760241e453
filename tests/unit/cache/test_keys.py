"""Keys: equal for equal inputs, and never for others, however those are chopped up."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builder.cache.keys import Component, Value, component, framed, identity_of, key_of

TEXTS = st.text(alphabet=st.sampled_from("ab:;0123slbni\x00\udc80"), max_size=6)
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-20, 20) | TEXTS | st.binary(max_size=4),
    lambda inner: st.lists(inner, max_size=4),
    max_leaves=8,
)


def same(left: Value, right: Value) -> bool:
    """Equality that tells b"" from "" but not a number from a truth value, which mean the same in a key."""
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(same, left, right))
    return (type(left) is type(right) and left == right) or (
        isinstance(left, int) and isinstance(right, int) and left == right
    )


@given(VALUES, VALUES)
def test_values_that_differ_are_framed_differently(left: Value, right: Value) -> None:
    assert (framed(left) == framed(right)) == same(left, right)


@given(st.lists(TEXTS, max_size=5), st.lists(TEXTS, max_size=5))
def test_nothing_in_a_text_passes_for_the_next(left: list[str], right: list[str]) -> None:
    assert (framed(left) == framed(right)) == (left == right)


@pytest.mark.parametrize(
    ("left", "right"),
    [
        (["a", "b"], ["ab"]),
        (["a", "b"], ["a", ["b"]]),
        ([["a"], "b"], [["a", "b"]]),
        (["a", ""], ["a"]),
        (["a", None], ["a", ""]),
        ("1", 1),
        ("a", b"a"),
        (["s1:b"], ["", "b"]),
        ([], None),
    ],
)
def test_attempts_at_a_collision(left: Value, right: Value) -> None:
    assert framed(left) != framed(right)


COMPONENTS = st.lists(st.tuples(TEXTS, TEXTS, st.booleans()), max_size=4)


@given(COMPONENTS, COMPONENTS)
def test_keys_are_of_all_components_in_their_order(left: Any, right: Any) -> None:
    first, second = ([component(name, value, format=how) for name, value, how in each] for each in (left, right))
    assert (key_of(first) == key_of(second)) == ([each[:2] for each in left] == [each[:2] for each in right])


def test_what_follows_does_not_depend_on_how_a_layer_is_written() -> None:
    words = component("instruction", ["RUN", "true"])
    gzip, zstd = (component("format", each, format=True) for each in ("gzip", "zstd"))
    assert key_of([words, gzip]) != key_of([words, zstd])
    assert identity_of([words, gzip]) == identity_of([words, zstd])
    assert identity_of([words]) != key_of([words]).hex
    assert identity_of([words]) != identity_of([component("instruction", ["RUN", "false"])])


def test_no_value_is_in_a_component() -> None:
    made = component("ARG PASSWORD", "correct horse")
    assert made == Component("ARG PASSWORD", framed("correct horse"))
    assert "horse" not in repr(made)
