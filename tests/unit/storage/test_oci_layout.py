from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from stored_images import contents, make_image, tar_of

from builder.errors import BuilderError, DigestMismatch, ManifestError, StorageError
from builder.image import media_types
from builder.image.descriptor import Descriptor
from builder.image.reference import Reference
from builder.storage.blob import MemoryBlob
from builder.storage.blobs import BlobStore
from builder.storage.oci_layout import is_oci_layout, read_oci_layout, write_oci_layout

ONE = make_image(tar_of(a=b"1"), tar_of(b=b"2" * 100_000))
TWO = make_image(tar_of(a=b"1"), tar_of(c=b"3"))
NAMES = [Reference.parse("r.example/a/b:1"), Reference.parse("r.example/a/b:2")]


def index_of(layout: Path) -> Any:
    return json.loads((layout / "index.json").read_bytes())


def test_written_and_read(tmp_path: Path) -> None:
    layout = tmp_path / "new/layout"
    write_oci_layout(layout, ONE, NAMES[:1])
    assert is_oci_layout(layout)
    assert json.loads((layout / "oci-layout").read_bytes()) == {"imageLayoutVersion": "1.0.0"}
    ((name, image),) = read_oci_layout(layout)
    assert name == "r.example/a/b:1"
    assert (image.manifest_bytes, image.config) == (ONE.manifest_bytes, ONE.config)
    assert contents(image) == contents(ONE)


def test_nothing_but_the_layout_is_left(tmp_path: Path) -> None:
    write_oci_layout(tmp_path, ONE, [])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["blobs", "index.json", "oci-layout"]
    assert len(list((tmp_path / "blobs/sha256").iterdir())) == 4


def test_the_entry_is_complete(tmp_path: Path) -> None:
    write_oci_layout(tmp_path, ONE, NAMES[:1])
    (entry,) = index_of(tmp_path)["manifests"]
    assert entry["mediaType"] == media_types.OCI_MANIFEST
    assert (entry["digest"], entry["size"]) == (str(ONE.digest), len(ONE.manifest_bytes))
    assert entry["platform"] == {"architecture": "amd64", "os": "linux"}
    assert entry["annotations"]["org.opencontainers.image.ref.name"] == "r.example/a/b:1"


def test_added_and_replaced_by_name(tmp_path: Path) -> None:
    write_oci_layout(tmp_path, ONE, NAMES)
    write_oci_layout(tmp_path, TWO, NAMES[1:])
    assert {name: image.digest for name, image in read_oci_layout(tmp_path)} == {
        str(NAMES[0]): ONE.digest,
        str(NAMES[1]): TWO.digest,
    }


def test_an_image_without_a_name_replaces_the_last_one_without(tmp_path: Path) -> None:
    write_oci_layout(tmp_path, ONE, NAMES[:1])
    write_oci_layout(tmp_path, ONE, [])
    write_oci_layout(tmp_path, TWO, [])
    found = [(name, image.digest) for name, image in read_oci_layout(tmp_path)]
    assert found == [(str(NAMES[0]), ONE.digest), (None, TWO.digest)]


def test_what_others_wrote_into_the_index_stays(tmp_path: Path) -> None:
    write_oci_layout(tmp_path, ONE, NAMES[:1])
    index = index_of(tmp_path) | {"annotations": {"mine": "1"}}
    index["manifests"][0]["annotations"]["theirs"] = "2"
    (tmp_path / "index.json").write_text(json.dumps(index))
    write_oci_layout(tmp_path, TWO, NAMES[1:])
    assert index_of(tmp_path)["annotations"] == {"mine": "1"}
    assert index_of(tmp_path)["manifests"][0]["annotations"]["theirs"] == "2"


def test_an_interrupted_write_changes_nothing(tmp_path: Path) -> None:
    write_oci_layout(tmp_path, ONE, NAMES[:1])
    before = (tmp_path / "index.json").read_bytes()

    class Interrupted:
        @contextmanager
        def open(self) -> Any:
            raise KeyboardInterrupt
            yield

    layers = (TWO.layers[0], replace(TWO.layers[1], source=Interrupted()))
    with pytest.raises(KeyboardInterrupt):
        write_oci_layout(tmp_path, replace(TWO, layers=layers), NAMES[:1])
    assert (tmp_path / "index.json").read_bytes() == before
    ((_, image),) = read_oci_layout(tmp_path)
    assert contents(image) == contents(ONE)


def test_a_blob_that_is_there_but_damaged_is_written_again(tmp_path: Path) -> None:
    write_oci_layout(tmp_path, ONE, [])
    path = BlobStore(tmp_path).path(ONE.layers[1].descriptor.digest)
    path.write_bytes(bytes(path.stat().st_size))
    write_oci_layout(tmp_path, ONE, [])
    ((_, image),) = read_oci_layout(tmp_path)
    assert contents(image) == contents(ONE)


def test_a_blob_that_is_there_is_not_read_again(tmp_path: Path) -> None:
    write_oci_layout(tmp_path, ONE, [])

    class Unreadable:
        def open(self) -> Any:
            raise AssertionError("read again")

    layers = tuple(replace(layer, source=Unreadable()) for layer in ONE.layers)
    write_oci_layout(tmp_path, replace(ONE, layers=layers), NAMES[:1])


def test_a_source_that_is_short_is_not_written(tmp_path: Path) -> None:
    layers = (replace(ONE.layers[0], source=MemoryBlob(b"short")), ONE.layers[1])
    with pytest.raises(DigestMismatch):
        write_oci_layout(tmp_path, replace(ONE, layers=layers), [])
    assert not (tmp_path / "index.json").exists()


def test_nested_indexes_are_followed(tmp_path: Path) -> None:
    write_oci_layout(tmp_path, ONE, [])
    inner = json.dumps({"schemaVersion": 2, "manifests": index_of(tmp_path)["manifests"]}).encode()
    BlobStore(tmp_path).put(inner)
    entry = Descriptor.of(media_types.OCI_INDEX, inner).to_json()
    entry["annotations"] = {"org.opencontainers.image.ref.name": "outer"}
    (tmp_path / "index.json").write_text(json.dumps({"manifests": [entry]}))
    assert [(name, image.digest) for name, image in read_oci_layout(tmp_path)] == [("outer", ONE.digest)]


def test_a_layer_that_is_missing(tmp_path: Path) -> None:
    write_oci_layout(tmp_path, ONE, [])
    BlobStore(tmp_path).remove(ONE.layers[0].descriptor.digest)
    with pytest.raises(StorageError, match="incomplete"):
        read_oci_layout(tmp_path)


def test_a_manifest_of_another_digest(tmp_path: Path) -> None:
    write_oci_layout(tmp_path, ONE, [])
    BlobStore(tmp_path).path(ONE.digest).write_bytes(b" " * len(ONE.manifest_bytes))
    with pytest.raises(DigestMismatch):
        read_oci_layout(tmp_path)


@pytest.mark.parametrize(
    "index",
    [
        "",
        "[]",
        "{",
        '{"manifests": 7}',
        '{"manifests": [7]}',
        '{"manifests": [{"digest": "x", "size": 1}]}',
        "[" * 100_000,
    ],
)
def test_what_is_no_layout(tmp_path: Path, index: str) -> None:
    (tmp_path / "index.json").write_text(index)
    with pytest.raises(ManifestError):
        read_oci_layout(tmp_path)


def test_no_layout_at_all(tmp_path: Path) -> None:
    assert not is_oci_layout(tmp_path)
    with pytest.raises(StorageError, match=r"cannot read .*index\.json"):
        read_oci_layout(tmp_path)
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(BuilderError, match="cannot create"):
        write_oci_layout(tmp_path / "file", ONE, [])
