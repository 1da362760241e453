"""Layers that several platforms have in common."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import cast

from builder.engine.layers import Layer, Packer
from builder.engine.shared_layers import SharedPacker
from builder.image.media_types import Family
from builder.layer.changes import Changes
from builder.layer.entry import BytesContent, Entry, FileContent, Kind


class Counting:
    """A Packer that writes nothing."""

    def __init__(self) -> None:
        self.packed: list[Changes] = []

    def pack(self, changes: Changes, family: Family, finished: Callable[[Layer], None]) -> Future[Layer]:
        self.packed.append(changes)
        return Future()


def file(path: str, **rest: object) -> Entry:
    return Entry(Kind.FILE, 0o644, size=1, content=FileContent(path))._replace(**rest)  # type: ignore[arg-type]


def same(one: Changes, other: Changes, families: tuple[Family, Family] = (Family.OCI, Family.OCI)) -> bool:
    """Whether both get the same layer."""
    counting = Counting()
    packer = SharedPacker(cast(Packer, counting), Path("/context"))
    layers = [
        packer.pack(changes, family, lambda _: None) for changes, family in zip((one, other), families, strict=True)
    ]
    assert (layers[0] is layers[1]) == (len(counting.packed) == 1)
    return layers[0] is layers[1]


def test_equal_files_of_the_context() -> None:
    directory = Entry(Kind.DIRECTORY, 0o755)
    assert same({"a": directory, "a/b": file("/context/x")}, {"a/b": file("/context/x"), "a": directory})
    assert same(
        {"a": file("/context/x", xattrs={"b": b"1", "a": b"2"})},
        {"a": file("/context/x", xattrs={"a": b"2", "b": b"1"})},
    )
    heredoc = file("", content=BytesContent(b"text"))
    assert same({"a": heredoc, "gone": None}, {"a": heredoc._replace(), "gone": None})


def test_what_differs() -> None:
    one = {"a": file("/context/x")}
    for other in (
        {"b": file("/context/x")},
        {"a": file("/context/y")},
        {"a": file("/context/x", mode=0o755)},
        {"a": file("/context/x", uid=5)},
        {"a": file("/context/x", mtime=5)},
        {"a": file("/context/x", xattrs={"a": b"1"})},
        {"a": file("/context/x"), "b": None},
        {"a": file("", content=BytesContent(b"text"))},
    ):
        assert not same(one, other)
    assert not same(one, dict(one), (Family.OCI, Family.DOCKER))


def test_hardlinks_are_not_two_files() -> None:
    inode = file("/context/x")
    assert same({"a": inode, "b": inode}, {"a": inode._replace(), "b": inode._replace()}) is False
    other = inode._replace()
    assert same({"a": inode, "b": inode}, {"a": other, "b": other})


def test_files_that_commands_may_change() -> None:
    for path in ("/state/root/a", "/context-too/x"):
        assert not same({"a": file(path)}, {"a": file(path)})
