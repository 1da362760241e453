"""Layers kept unpacked: their index, self-containedness, and what happens to damaged ones."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from disk import in_tree, on_disk
from layers import Row, blob, blob_of, image_files, layer_store, tar_of_rows

from builder.digest import Digest
from builder.errors import BuilderError, DigestMismatch, LayerError
from builder.image.descriptor import Descriptor
from builder.image.media_types import OCI_LAYER_GZIP
from builder.layer.entry import BytesContent, Entry, Kind
from builder.rootfs.directory import Ownership
from builder.rootfs.index import LayerIndex, is_self_contained
from builder.storage.blob import Blob, FileBlob

FILE, DIRECTORY = Entry(Kind.FILE, 0o644), Entry(Kind.DIRECTORY, 0o755)


def hard(target: str) -> Entry:
    return Entry(Kind.HARDLINK, 0o644, link=target)


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ([], True),
        ([("", DIRECTORY), ("f", FILE), ("d", DIRECTORY), ("d/f", FILE)], True),
        ([("d/f", FILE)], False),
        ([("d/f", FILE), ("d", DIRECTORY)], False),
        ([("l", Entry(Kind.SYMLINK, 0, link="d")), ("l/f", FILE)], False),
        ([("f", FILE), ("h", hard("f")), ("i", hard("h"))], True),
        ([("h", hard("f")), ("f", FILE)], False),
        ([("h", hard("below"))], False),
        ([("d", DIRECTORY), ("h", hard("d"))], False),
        ([("f", FILE), ("f", hard("f"))], True),
        ([(".wh.x", FILE), ("d", DIRECTORY), ("d/.wh.x", FILE), ("d/.wh..wh..opq", FILE)], True),
        ([("d/.wh.x", FILE)], False),
        ([("d/.wh..wh..opq", FILE), ("d", DIRECTORY)], False),
        ([(".wh.x", FILE), ("h", hard(".wh.x"))], False),
        ([(".wh.d", DIRECTORY), (".wh.d/f", FILE)], False),
        ([(".wh..wh.plnk", DIRECTORY), (".wh..wh.plnk/1", FILE), ("f", FILE)], True),
        ([(".wh..wh.plnk/1", FILE), ("h", hard(".wh..wh.plnk/1"))], False),
        # what was in a directory goes with it
        ([("d", DIRECTORY), ("d/e", DIRECTORY), ("d", FILE), ("d/e/f", FILE)], False),
        ([("d", DIRECTORY), ("d/f", FILE), ("d", FILE), ("h", hard("d/f"))], False),
        ([("d", DIRECTORY), ("d/f", FILE), ("d", hard("d/f"))], False),
        ([("f", FILE), ("f", DIRECTORY), ("h", hard("f"))], False),
        ([("f", FILE), ("f", DIRECTORY), ("f/g", FILE)], True),
        ([("d", DIRECTORY), ("d", FILE), ("d", DIRECTORY), ("d/f", FILE)], True),
    ],
)
def test_self_contained(members: list[tuple[str, Entry]], expected: bool) -> None:
    assert is_self_contained(members) is expected


ROWS: list[list[Row]] = [
    [
        ("dir", "d", "1750"),
        ("file", "d/f", "x" * 5000, "4711"),
        ("hard", "h", "d/f"),
        ("link", "l", "d"),
        ("pipe", "p"),
    ],
    [("gone", "a"), ("dir", "d"), ("opaque", "d"), ("gone", "d/e"), ("file", "f")],
    [("file", "d/f")],
    [("dir", "a"), ("gone", "b/x"), ("file", "c")],
    [("opaque", "a"), ("dir", "a"), ("file", "c")],
    [("dir", ".wh..wh.plnk"), ("file", ".wh..wh.plnk/1"), ("file", "f")],
    [],
]


@pytest.mark.usefixtures("as_root")
@pytest.mark.parametrize("rows", ROWS)
def test_a_directory_is_complete_or_not_there(tmp_path: Path, rows: list[Row]) -> None:
    """The writer and the index must agree on which layers can be unpacked by themselves."""
    layer = blob(*rows)
    for store in (layer_store(tmp_path / "1"), layer_store(tmp_path / "2")):
        index, place = store.unpack(layer)
        assert (place is not None) == index.self_contained
        assert store.unpack(layer) == (index, place)
        assert store.index(layer) == index
        assert store.is_unpacked(layer) == index.self_contained
        if place is not None:
            files = {row[1] for row in rows if row[0] == "file" and ".wh." not in row[1]}
            assert files <= on_disk(place).keys()
    assert layer_store(tmp_path / "3").index(layer) == index


def test_the_index_alone_makes_no_files(tmp_path: Path) -> None:
    store = layer_store(tmp_path)
    layer = blob(("dir", "etc"), ("file", "etc/passwd", "root:x:0:0\n"), ("file", "etc/shadow", "secret"))
    index = store.index(layer)
    assert not store.is_unpacked(layer)
    assert [path for path, _ in index.members] == ["etc", "etc/passwd", "etc/shadow"]
    assert index.members[1][1].content == BytesContent(b"root:x:0:0\n")
    assert index.members[2][1].content is None


def test_an_index_as_json() -> None:
    members = (
        ("", DIRECTORY),
        ("f\udcff", Entry(Kind.FILE, 0o4755, 1, 2**32 - 2, 2**40, -5, xattrs={"security.capability": b"\0\xff"})),
        ("l", Entry(Kind.SYMLINK, 0o777, link="tärget\udc80")),
        ("c", Entry(Kind.CHAR, 0o666, device=(1, 3))),
        ("etc/passwd", Entry(Kind.FILE, 0o644, size=3, content=BytesContent(b"a:b"))),
        ("etc/group", Entry(Kind.FILE, 0o644, content=BytesContent(b""))),
    )
    for self_contained in (True, False):
        index = LayerIndex(members=members, self_contained=self_contained)
        read = LayerIndex.from_json(index.to_json())
        assert read is not None and read.self_contained is self_contained
        for (path, entry), (again, reread) in zip(members, read.members, strict=True):
            if entry.content == BytesContent(b""):
                entry = entry._replace(content=reread.content)
            assert (path, entry) == (again, reread)


@pytest.mark.parametrize(
    "data",
    [
        b"", b"{", b"[]", b"null", b'"x"', b"{}", b'{"version": 1, "self_contained": true, "members": []}',
        b'{"version": 2, "self_contained": true, "members": [[]]}',
        b'{"version": 2, "self_contained": true, "members": [["f", 99, 0, 0, 0, 0, 0]]}',
        b'{"version": 2, "self_contained": true, "members": [["f", 48, 0, 0, 0, 0, 0, "", null, "x", null]]}',
        b'{"version": 2, "self_contained": true, "members": [["f", 48, 0, 0, 0, 0, 0, "", null, {"a": "?"}, null]]}',
        b"\xff\xfe",
    ],
)  # fmt: skip
def test_a_kept_index_that_is_damaged_is_read_again(tmp_path: Path, data: bytes) -> None:
    assert LayerIndex.from_json(data) is None
    store, layer = layer_store(tmp_path), blob(("file", "f"))
    index = store.index(layer)
    (kept,) = tmp_path.rglob("index.json")
    kept.write_bytes(data)
    assert store.index(layer) == index
    assert LayerIndex.from_json(kept.read_bytes()) == index


def _file_blob(path: Path, data: bytes, descriptor: Descriptor) -> Blob:
    path.write_bytes(data)
    return Blob(descriptor=descriptor, source=FileBlob(path, descriptor))


TAR = tar_of_rows(("dir", "d"), ("file", "d/f", "x" * 100_000), ("file", "g"))


def test_content_that_is_not_the_blobs(tmp_path: Path) -> None:
    packed = gzip.compress(TAR)
    descriptor = Descriptor.of(OCI_LAYER_GZIP, packed)
    other = gzip.compress(tar_of_rows(("file", "evil")))
    for number, data in enumerate((other, packed[:-1], packed[:200])):
        directory = tmp_path / str(number)
        store = layer_store(directory)
        with pytest.raises(BuilderError) as caught:
            store.unpack(_file_blob(directory / "blob", data, descriptor))
        assert isinstance(caught.value, (DigestMismatch, LayerError))
        assert not list(directory.rglob("index.json")), "unverified headers were kept"
        assert not list(directory.rglob("test")), "unverified files were kept"
        assert [each.name for each in (directory / "scratch").rglob("*")] == [], "something was left behind"


@pytest.mark.parametrize(
    "data",
    [b"no tar", gzip.compress(b"no tar" * 500), gzip.compress(TAR)[:-20], gzip.compress(TAR[:3000]), b"\x1f\x8b" * 100],
)
def test_blobs_that_are_no_layers(tmp_path: Path, data: bytes) -> None:
    """Their digest is right, but they make no sense."""
    layer = Blob(descriptor=Descriptor.of(OCI_LAYER_GZIP, data), source=blob_of(TAR).source)
    layer = _file_blob(tmp_path / "blob", data, layer.descriptor)
    store = layer_store(tmp_path)
    for read in (store.index, store.unpack):
        with pytest.raises(LayerError, match=f"layer {Digest.of(data)}"):
            read(layer)
    assert not list((tmp_path / "scratch").iterdir())


def test_other_compressions_are_told_by_their_content(tmp_path: Path) -> None:
    import bz2
    import lzma

    import zstandard

    for number, pack in enumerate((bytes, bz2.compress, lzma.compress, zstandard.ZstdCompressor().compress)):
        data = pack(TAR)
        layer = _file_blob(tmp_path / f"blob{number}", data, Descriptor.of(OCI_LAYER_GZIP, data))
        assert len(layer_store(tmp_path / str(number)).index(layer).members) == 3


@pytest.mark.usefixtures("as_root")
def test_layers_are_shared_and_chains_are_not(tmp_path: Path) -> None:
    usr = [("dir", "usr"), ("link", "l", "usr")]
    opt = [("dir", "opt"), ("link", "l", "opt")]
    through = blob(("file", "l/f", "same"))
    for below, path in ((usr, "usr/f"), (opt, "opt/f"), (usr, "usr/f")):
        files = image_files(tmp_path, blob(*below), through)
        tree = in_tree(files.tree())
        assert tree[path][4] == b"same"
        assert path in on_disk(files.lowers()[0])


def test_contents_are_unpacked_when_they_are_first_read(tmp_path: Path) -> None:
    files = image_files(tmp_path, blob(("file", "a", "1"), ("file", "b", "2")), ownership=Ownership(owners=False))
    tree = files.tree()
    assert not list((tmp_path / "layers").rglob("a"))
    assert tree.entry("a").content.open().read() == b"1"


def test_one_that_disappears_from_the_state_directory_is_made_again(tmp_path: Path) -> None:
    import shutil

    layer = blob(("file", "a", "1"))
    store = layer_store(tmp_path, Ownership(owners=False))
    _, place = store.unpack(layer)
    shutil.rmtree(place)
    _, again = store.unpack(layer)
    assert (again / "a").read_bytes() == b"1"


def test_what_another_build_made_meanwhile_is_used(tmp_path: Path) -> None:
    """Two builds unpack the same layer: the second finds the name taken, and is content."""
    layer = blob(("file", "a", "1"))
    store = layer_store(tmp_path, Ownership(owners=False))
    other = layer_store(tmp_path, Ownership(owners=False))

    class Racing:
        def open(self) -> object:
            other.unpack(blob(("file", "a", "1")))
            return layer.source.open()

    _, place = store.unpack(Blob(descriptor=layer.descriptor, source=Racing()))
    assert place is not None and (place / "a").read_bytes() == b"1"
    assert not list((tmp_path / "scratch").iterdir())


def test_reading_a_member_at_a_time_verifies_the_blob(tmp_path: Path) -> None:
    packed = gzip.compress(TAR)
    wrong = gzip.compress(tar_of_rows(("file", "x")))
    layer = _file_blob(tmp_path / "blob", wrong, Descriptor.of(OCI_LAYER_GZIP, packed))
    with pytest.raises(DigestMismatch):
        list(layer_store(tmp_path).members(layer))
