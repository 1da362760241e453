"""Layers upon one another: whiteouts, opaque directories, hardlinks and links across layers.

Each case is looked at three times: as a FileTree, as an overlay of the unpacked layers, and as the plain directory that
a second implementation of the rules makes.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from disk import Listing, in_tree, on_disk, on_overlay
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from layers import Row, Unclear, blob, blob_of, extract, image_files, layer_store, tar_of_rows

from builder.errors import BuilderError, LayerError
from builder.layer.entry import BytesContent
from builder.rootfs.assemble import apply_layer
from builder.rootfs.base import OverlayDirectories
from builder.rootfs.directory import Ownership
from builder.rootfs.tree import FileTree
from builder.rootfs.walk import WalkRootFs

CASES: dict[str, tuple[list[list[Row]], str]] = {
    "a file is added and another replaced": (
        [[("dir", "d"), ("file", "d/a", "1"), ("file", "d/b", "2")], [("dir", "d"), ("file", "d/b", "3"), ("file", "c")]],
        "c d d/a d/b",
    ),
    "a whiteout": ([[("dir", "d"), ("file", "d/a"), ("file", "d/b")], [("dir", "d"), ("gone", "d/a")]], "d d/b"),
    "a whiteout without its directory": ([[("dir", "d"), ("file", "d/a")], [("gone", "d/a"), ("file", "x")]], "d x"),
    "a whiteout of a directory": ([[("dir", "d"), ("dir", "d/e"), ("file", "d/e/f")], [("gone", "d")]], ""),
    "a whiteout of nothing": ([[("file", "a")], [("gone", "b"), ("dir", "d"), ("gone", "d/e")]], "a d"),
    "a whiteout before what is made again": (
        [[("dir", "d"), ("file", "d/old")], [("gone", "d"), ("dir", "d"), ("file", "d/new")]],
        "d d/new",
    ),
    "a whiteout after what is made again": (
        [[("dir", "d"), ("file", "d/old")], [("dir", "d"), ("file", "d/new"), ("gone", "d")]],
        "d d/new",
    ),
    "a whiteout of a file after the file of the same layer": ([[("file", "f", "1")], [("file", "f", "2"), ("gone", "f")]], "f"),
    "a whiteout of a file before the file of the same layer": ([[("file", "f", "1")], [("gone", "f"), ("file", "f", "2")]], "f"),
    "a whiteout hides nothing of its own layer": ([[("dir", "d"), ("file", "d/a"), ("gone", "d/a")]], "d d/a"),
    "an opaque directory, marked first": (
        [[("dir", "d"), ("file", "d/old"), ("dir", "d/e")], [("dir", "d"), ("opaque", "d"), ("file", "d/new")]],
        "d d/new",
    ),
    "an opaque directory, marked last": (
        [[("dir", "d"), ("file", "d/old")], [("dir", "d"), ("file", "d/new"), ("opaque", "d")]],
        "d d/new",
    ),
    "an opaque directory without a header": (
        [[("dir", "d", "700"), ("file", "d/old")], [("opaque", "d"), ("file", "x")]],
        "d x",
    ),
    "an opaque directory with the same file again": (
        [[("dir", "d"), ("file", "d/f", "1"), ("file", "d/g")], [("dir", "d"), ("opaque", "d"), ("file", "d/f", "2")]],
        "d d/f",
    ),
    "an opaque directory that was not there": ([[("file", "a")], [("dir", "d"), ("opaque", "d"), ("file", "d/f")]], "a d d/f"),
    "an opaque root": ([[("dir", "d"), ("file", "d/f"), ("file", "a")], [("opaque", ""), ("file", "b"), ("dir", "d")]], "b d"),
    "an opaque root, marked last": ([[("file", "a"), ("file", "b")], [("file", "b"), ("file", "c"), ("opaque", "")]], "b c"),
    "a whiteout, and later again": (
        [[("dir", "d"), ("file", "d/f", "1")], [("gone", "d/f")], [("dir", "d"), ("file", "d/f", "3")]],
        "d d/f",
    ),
    "a hardlink within a layer": ([[("file", "a"), ("hard", "b", "a"), ("dir", "d"), ("hard", "d/c", "b")]], "a b d d/c"),
    "a hardlink to a file of the layer below": ([[("dir", "d"), ("file", "d/a", "1")], [("hard", "b", "d/a")]], "b d d/a"),
    "a hardlink in a directory of the layer below": ([[("dir", "d"), ("file", "a")], [("file", "x"), ("hard", "d/y", "x")]], "a d d/y x"),
    "a hardlink to a link below": ([[("link", "l", "x")], [("hard", "h", "l")]], "h l"),
    "a hardlink to a pipe below": ([[("pipe", "p")], [("hard", "h", "p")]], "h p"),
    "a hardlink replaced": ([[("file", "a"), ("hard", "b", "a")], [("file", "a", "new")]], "a b"),
    "parents through a link of the layer below": (
        [[("dir", "usr"), ("dir", "usr/bin"), ("link", "bin", "usr/bin")], [("file", "bin/sh"), ("file", "usr/x")]],
        "bin usr usr/bin usr/bin/sh usr/x",
    ),
    "parents through an absolute link": (
        [[("dir", "usr"), ("dir", "usr/lib"), ("link", "lib", "/usr/lib")], [("dir", "lib/x"), ("file", "lib/x/so")]],
        "lib usr usr/lib usr/lib/x usr/lib/x/so",
    ),
    "parents through a link that leads out of the root": (
        [[("dir", "a"), ("link", "l", "../../../a")], [("file", "l/f")]],
        "a a/f l",
    ),
    "parents through a chain of links": (
        [[("dir", "a"), ("dir", "a/b"), ("link", "1", "2"), ("link", "2", "a")], [("file", "1/b/f")]],
        "1 2 a a/b a/b/f",
    ),
    "parents through a dangling link": ([[("link", "l", "made/here")], [("file", "l/f")]], "l made made/here made/here/f"),
    "a whiteout through a link": (
        [[("dir", "usr"), ("dir", "usr/bin"), ("file", "usr/bin/sh"), ("link", "bin", "usr/bin")], [("gone", "bin/sh")]],
        "bin usr usr/bin",
    ),
    "an opaque mark through a link": (
        [[("dir", "usr"), ("file", "usr/a"), ("link", "l", "usr")], [("opaque", "l"), ("file", "usr/b")]],
        "l usr usr/b",
    ),
    "a whiteout of a link leaves what it points to": ([[("dir", "d"), ("file", "d/f"), ("link", "l", "d")], [("gone", "l")]], "d d/f"),
    "a hardlink through a link": (
        [[("dir", "usr"), ("file", "usr/a"), ("link", "l", "usr")], [("hard", "l/b", "l/a")]],
        "l usr usr/a usr/b",
    ),
    "a hardlink through a link to a file of the same layer": (
        [[("dir", "usr"), ("link", "l", "usr")], [("file", "usr/a"), ("hard", "b", "l/a")]],
        "b l usr usr/a",
    ),
    "a directory over a link": (
        [[("dir", "d"), ("file", "d/f"), ("link", "l", "d")], [("dir", "l"), ("file", "l/g")]],
        "d d/f l l/g",
    ),
    "a whiteout in a directory over a link": (
        [[("dir", "d"), ("file", "d/f"), ("link", "l", "d")], [("dir", "l"), ("gone", "l/f"), ("file", "x")]],
        "d d/f l x",
    ),
    "a whiteout in a directory over a link, in a layer that needs the one below": (
        [[("dir", "d"), ("file", "d/f"), ("link", "l", "d")], [("dir", "l"), ("gone", "l/f"), ("file", "d/x")]],
        "d d/f d/x l",
    ),
    "an opaque directory over a link": (
        [[("dir", "d"), ("file", "d/f"), ("link", "l", "d")], [("dir", "l"), ("opaque", "l"), ("file", "d/x")]],
        "d d/f d/x l",
    ),
    "a directory over a link after files through it": (
        [[("dir", "d"), ("link", "l", "d")], [("file", "l/1"), ("dir", "l"), ("file", "l/2")]],
        "d d/1 l l/2",
    ),
    "a directory over a link after files in a directory through it": (
        [[("dir", "d"), ("dir", "d/s"), ("link", "l", "d")], [("file", "l/s/1"), ("dir", "l"), ("file", "l/s/2")]],
        "d d/s d/s/1 l l/s l/s/2",
    ),
    "a link over a directory": ([[("dir", "a"), ("dir", "d"), ("file", "d/f")], [("link", "d", "a"), ("file", "d/g")]], "a a/g d"),
    "a file over a directory": ([[("dir", "d"), ("dir", "d/e"), ("file", "d/e/f")], [("file", "d")]], "d"),
    "a directory over a file": ([[("file", "d")], [("dir", "d"), ("file", "d/f")]], "d d/f"),
    "a file over a directory of its own layer, with what follows": (
        [[("dir", "d"), ("dir", "d/e"), ("file", "d/e/f"), ("file", "d"), ("dir", "d"), ("file", "d/g")]],
        "d d/g",
    ),
    "a file over a directory through a link, and a directory again": (
        [[("dir", "d"), ("file", "d/old"), ("link", "l", ".")], [("file", "l/d"), ("dir", "d"), ("file", "d/new")]],
        "d d/new l",
    ),
    "implied parents": ([[("file", "a/b/c")], [("file", "a/x")]], "a a/b a/b/c a/x"),
    "an implied parent keeps the metadata of the layer below": ([[("dir", "d", "1700"), ("dir", "d/e", "711")], [("file", "d/e/f")]], "d d/e d/e/f"),
    "a parent that comes after what is in it": ([[("file", "d/f"), ("dir", "d", "700"), ("file", "x")]], "d d/f x"),
    "a directory of which only the mode changed": ([[("dir", "d", "700"), ("file", "d/f")], [("dir", "d", "755")]], "d d/f"),
    "the same layer twice": ([[("dir", "d"), ("file", "d/f")], [("gone", "d/f")], [("dir", "d"), ("file", "d/f")]], "d d/f"),
    "bookkeeping of AUFS": (
        [[("dir", ".wh..wh.plnk"), ("file", ".wh..wh.plnk/1.2"), ("file", ".wh..wh.aufs"), ("dir", ".wh..wh.orph"), ("file", "f")]],
        "f",
    ),
    "a whiteout in a directory that has no header, then more": ([[("dir", "a"), ("file", "a/b")], [("gone", "a/b"), ("file", "c"), ("file", "d")]], "a c d"),
    "devices": ([[("dir", "dev"), ("char", "dev/null")], [("hard", "dev/zero", "dev/null")]], "dev dev/null dev/zero"),
}  # fmt: skip
# ruff: noqa: E501


def _merged(directory: Path, lowers: tuple[str, ...]) -> Listing:
    for name in ("upper", "work"):
        (directory / name).mkdir()
    directories = OverlayDirectories(lowers=lowers, upper=str(directory / "upper"), work=str(directory / "work"))
    return on_overlay(directories, directory / "mounted", on_disk)


def _without_groups(listing: Listing) -> Listing:
    return {path: fields[:-1] for path, fields in listing.items()}


@pytest.mark.usefixtures("as_root")
@pytest.mark.parametrize("name", CASES)
def test_layers_upon_one_another(name: str, tmp_path: Path) -> None:
    layers, expected = CASES[name]
    files = image_files(tmp_path / "store", *(blob(*rows) for rows in layers))
    tree = in_tree(files.tree())
    assert " ".join(tree) == expected
    # Overlayfs has one inode for each layer: hardlinks across layers are copies there, those of a layer are links.
    assert _without_groups(_merged(tmp_path, files.lowers())) == _without_groups(tree)
    if "devices" not in name and "AUFS" not in name:
        (tmp_path / "plain").mkdir()
        extract(tmp_path / "plain", [tar_of_rows(*rows) for rows in layers])
        assert _owned_by_root(on_disk(tmp_path / "plain")) == tree


def _owned_by_root(listing: Listing) -> Listing:
    return {path: (*fields[:2], (0, 0), *fields[3:]) for path, fields in listing.items()}


@pytest.mark.usefixtures("as_root")
@pytest.mark.parametrize("name", CASES)
def test_written_as_one_directory(name: str, tmp_path: Path) -> None:
    layers, _ = CASES[name]
    files = image_files(tmp_path / "store", *(blob(*rows) for rows in layers))
    tree = files.tree()
    (tmp_path / "scratch").mkdir()
    rootfs = WalkRootFs(tmp_path / "scratch", tree.fork(), Ownership(owners=True))
    assert on_disk(rootfs.prepare().path) == in_tree(tree)
    rootfs.close()


@pytest.mark.parametrize("name", sorted(CASES.keys() - {"devices"}))
def test_bytes_alone(name: str, tmp_path: Path) -> None:
    """What an ordinary user keeps for COPY: contents that can be read, whatever else is there."""
    layers, _ = CASES[name]
    files = image_files(
        tmp_path / "store", *(blob(*rows) for rows in layers), ownership=Ownership(owners=False, modes=False)
    )
    (tmp_path / "plain").mkdir()
    extract(tmp_path / "plain", [tar_of_rows(*rows) for rows in layers])
    for path, fields in in_tree(files.tree()).items():
        if fields[0] == "file":
            assert fields[4] == (tmp_path / "plain" / path).read_bytes()


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ([[("hard", "a", "nothing")]], "hardlink /a to /nothing, which is not there"),
        ([[("dir", "d"), ("hard", "a", "d")]], "hardlink /a to /d, which is not there"),
        ([[("file", "f")], [("gone", "f"), ("hard", "a", "f")]], "hardlink /a to /f"),
        ([[("hard", "a", "b"), ("file", "b")]], "hardlink /a to /b"),
        ([[("link", "l", "l")], [("file", "l/f")]], "too many levels of symbolic links"),
    ],
)
def test_layers_that_make_no_sense(tmp_path: Path, layers: list[list[Row]], message: str) -> None:
    files = image_files(tmp_path, *(blob(*rows) for rows in layers))
    with pytest.raises(BuilderError, match=message):
        files.tree()
    with pytest.raises(BuilderError, match=message):
        image_files(tmp_path / "other", *(blob(*rows) for rows in layers)).lowers()


def test_a_member_that_leads_out_of_the_root(tmp_path: Path) -> None:
    store = layer_store(tmp_path / "store")
    (tmp_path / "store/layers").mkdir()
    with pytest.raises(LayerError, match="outside of its root"):
        store.unpack(blob(("file", "../../escaped")))
    with pytest.raises(LayerError, match="outside of its root"):
        store.index(blob(("hard", "a", "../../../etc/passwd")))
    assert not list(tmp_path.rglob("escaped"))


def test_places_are_where_members_ended_up(tmp_path: Path) -> None:
    store = layer_store(tmp_path)
    tree = FileTree()
    for rows in ([("dir", "usr"), ("link", "l", "usr")], [("file", "l/a"), ("gone", "x"), ("file", "b")]):
        index = store.index(blob(*rows))
        places = apply_layer(tree, index, lambda path: BytesContent(path.encode()), "sample")
    assert places == {"l/a": "usr/a", "b": "b"}
    assert tree.entry("usr/a").content == BytesContent(b"usr/a")


names = st.sampled_from(["a", "b", "c"])
member_paths = st.lists(names, min_size=1, max_size=3).map("/".join)
rows = st.one_of(
    st.tuples(st.just("dir"), member_paths, st.sampled_from(["755", "1700"])),
    st.tuples(st.just("file"), member_paths, st.text("xyz", max_size=3)),
    st.tuples(st.just("link"), member_paths, st.sampled_from(["a", "b", "/a/b", "../c", ".."])),
    st.tuples(st.just("hard"), member_paths, member_paths),
    st.tuples(st.just("gone"), member_paths),
    st.tuples(st.just("opaque"), member_paths),
)


def _sensible(rows: list[Row]) -> list[Row]:
    """Without what no layer says: that a path is no directory, after all that is below it, or an opaque one."""
    kept: list[Row] = []
    others = {row[1] for row in rows if row[0] in ("file", "link", "hard", "gone")}
    for row in rows:
        kind, path = row[:2]
        if kind == "opaque" and path in others:
            continue
        if kind in ("file", "link", "hard") and any(each[1].startswith(f"{path}/") for each in kept):
            continue
        kept.append(row)
    return kept


def _identity(row: Row) -> tuple[str, str]:
    return row[1], row[0] if row[0] in ("gone", "opaque") else "entry"


layer_rows = st.lists(rows, max_size=7, unique_by=_identity).map(_sensible)
random_layers = st.lists(layer_rows, min_size=1, max_size=3)


@pytest.mark.usefixtures("as_root")
@settings(max_examples=60, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))
@given(random_layers)
def test_random_layers(tmp_path_factory: pytest.TempPathFactory, layers: list[list[Row]]) -> None:
    directory = tmp_path_factory.mktemp("random")
    tars = [tar_of_rows(*rows) for rows in layers]
    (directory / "plain").mkdir()
    try:
        extract(directory / "plain", tars)
    except (Unclear, OSError):
        assume(False)
    expected = _owned_by_root(on_disk(directory / "plain"))
    files = image_files(directory / "store", *(blob_of(tar) for tar in tars))
    assert in_tree(files.tree()) == expected
    assert _without_groups(_merged(directory, files.lowers())) == _without_groups(expected)
