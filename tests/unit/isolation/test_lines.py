"""Cutting output into lines."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from builder.isolation.lines import LONGEST, Lines


def cut(chunks: list[bytes]) -> list[bytes]:
    lines = Lines()
    return [line for chunk in chunks for line in lines.feed(chunk)] + list(lines.end())


@given(st.lists(st.text(alphabet="ab\n\r", max_size=20).map(str.encode)))
def test_chunks_do_not_matter(chunks: list[bytes]) -> None:
    whole = b"".join(chunks)
    expected = whole.split(b"\n")
    assert cut(chunks) == (expected[:-1] if expected[-1] == b"" else expected)


def test_long_lines_come_in_pieces_as_they_grow() -> None:
    lines = Lines()
    assert [len(piece) for piece in lines.feed(b"x" * (2 * LONGEST + 5))] == [LONGEST, LONGEST]
    assert list(lines.feed(b"y\nnext")) == [b"xxxxxy"]
    assert list(lines.end()) == [b"next"]


def test_long_line_in_one_chunk() -> None:
    assert [len(piece) for piece in cut([b"x" * (LONGEST + 1) + b"\n"])] == [LONGEST, 1]
