from __future__ import annotations

import gzip
import io
import json
import tarfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from stored_images import compressed, contents, make_image, tar_of

from builder.digest import Digest
from builder.errors import BuilderError, DigestMismatch, StorageError
from builder.image import media_types
from builder.image.media_types import Family
from builder.image.reference import Reference
from builder.storage.blob import MemoryBlob
from builder.storage.docker_archive import read_docker_archive, write_docker_archive

TARS = (tar_of(a=b"1"), tar_of(b=b"2" * 100_000))
NAME = Reference.parse("r.example/a/b:1")


@pytest.mark.parametrize("compression", ["gzip", "zstd", "none"])
def test_written_and_read(tmp_path: Path, compression: str) -> None:
    image = make_image(*TARS, compression=compression)
    write_docker_archive(tmp_path / "x.tar", image, [NAME])
    read, names = read_docker_archive(tmp_path / "x.tar")
    assert names == [NAME]
    assert read.config == image.config
    assert contents(read) == contents(image)
    assert read.manifest.family is (Family.OCI if compression == "zstd" else Family.DOCKER)
    assert [layer.media_type for layer in read.manifest.layers] == [read.manifest.family.layer(compression)] * 2


def test_the_form(tmp_path: Path) -> None:
    image = make_image(*TARS)
    names = [NAME, Reference.parse("alpine"), Reference.parse(f"team/app:2@sha256:{'0' * 64}")]
    write_docker_archive(tmp_path / "x.tar", image, names)
    with tarfile.open(tmp_path / "x.tar") as tar:
        (entry,) = json.load(tar.extractfile("manifest.json"))  # type: ignore[arg-type]
        assert sorted(tar.getnames()) == sorted([entry["Config"], *entry["Layers"], "manifest.json"])
        assert tar.extractfile(entry["Config"]).read() == image.config  # type: ignore[union-attr]
    assert entry["RepoTags"] == ["r.example/a/b:1", "alpine:latest", "team/app:2"]
    assert entry["Config"] == f"{image.manifest.config.digest.hex}.json"
    assert (tmp_path / "x.tar").stat().st_size % 10240 == 0


def test_without_a_name(tmp_path: Path) -> None:
    write_docker_archive(tmp_path / "x.tar", make_image(*TARS), [])
    assert read_docker_archive(tmp_path / "x.tar")[1] == []


def test_a_layer_that_comes_twice_is_stored_once(tmp_path: Path) -> None:
    image = make_image(TARS[1], TARS[0], TARS[1])
    write_docker_archive(tmp_path / "x.tar", image, [])
    with tarfile.open(tmp_path / "x.tar") as tar:
        assert len(tar.getnames()) == 4
    assert contents(read_docker_archive(tmp_path / "x.tar")[0]) == contents(image)


def test_the_same_image_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("x", "y"):
        write_docker_archive(tmp_path / name, make_image(*TARS), [NAME])
    assert (tmp_path / "x").read_bytes() == (tmp_path / "y").read_bytes()


def test_a_failure_leaves_the_old_archive(tmp_path: Path) -> None:
    image = make_image(*TARS)
    (tmp_path / "x.tar").write_bytes(b"old")
    layers = (image.layers[0], replace(image.layers[1], source=MemoryBlob(b"short")))
    with pytest.raises(DigestMismatch):
        write_docker_archive(tmp_path / "x.tar", replace(image, layers=layers), [])
    assert (tmp_path / "x.tar").read_bytes() == b"old"
    assert len(list(tmp_path.iterdir())) == 1


def archive(path: Path, entries: Any, files: dict[str, bytes], links: dict[str, str] | None = None) -> Path:
    """An archive as other tools write them."""
    with tarfile.open(path, "w") as tar:
        for name, data in {**files, "manifest.json": json.dumps(entries).encode()}.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
        for name, target in (links or {}).items():
            info = tarfile.TarInfo(name)
            info.type, info.linkname = tarfile.SYMTYPE, target
            tar.addfile(info)
    return path


def entry(config: str, layers: Sequence[str], tags: Any = None) -> dict[str, Any]:
    return {"Config": config, "Layers": list(layers), "RepoTags": tags}


CONFIG = make_image(*TARS).config


@pytest.mark.parametrize(
    ("layers", "files", "links"),
    [
        (["1/layer.tar", "2/layer.tar"], {"1/layer.tar": TARS[0], "2/layer.tar": TARS[1]}, {}),
        (["1/layer.tar", "2/layer.tar"], {"1/layer.tar": TARS[0], "x.tar": TARS[1]}, {"2/layer.tar": "../x.tar"}),
        (["blobs/sha256/1", "blobs/sha256/2"], {"./blobs/sha256/1": TARS[0], "./blobs/sha256/2": TARS[1]}, {}),
        (["1.tar.gz", "2.tar"], {"1.tar.gz": compressed(TARS[0], "gzip"), "2.tar": TARS[1]}, {}),
    ],
)
def test_what_other_tools_write(
    tmp_path: Path, layers: list[str], files: dict[str, bytes], links: dict[str, str]
) -> None:
    path = archive(tmp_path / "x.tar", [entry("c.json", layers, ["a:1", "b:2"])], {"c.json": CONFIG, **files}, links)
    image, names = read_docker_archive(path)
    assert [str(name) for name in names] == ["index.docker.io/library/a:1", "index.docker.io/library/b:2"]
    assert contents(image)[1] == TARS[1]
    assert image.manifest.config.media_type == media_types.DOCKER_CONFIG
    assert image.manifest.layers[1].digest == Digest.of(TARS[1])


GOOD = {"c": CONFIG, "1": TARS[0], "2": TARS[1]}
ENTRY = entry("c", ["1", "2"])


@pytest.mark.parametrize(
    ("entries", "files", "message"),
    [
        ([], GOOD, "not a list of images"),
        ({}, GOOD, "not a list of images"),
        ([7], GOOD, "not a list of images"),
        ([ENTRY, entry("c", [], ["b:1"])], GOOD, "holds 2 images: c, b:1"),
        ([entry("missing", ["1", "2"])], GOOD, "incomplete: missing is not in it"),
        ([entry("c", ["1", "3"])], GOOD, "incomplete: 3 is not in it"),
        ([entry("c", ["1"])], GOOD, "1 layers where its config has 2"),
        ([ENTRY], {**GOOD, "2": TARS[0]}, "is damaged"),
        ([ENTRY], {**GOOD, "c": b"{"}, "config .* is not valid"),
        ([entry("c", ["1", "2"], ["A:B:C"])], GOOD, "a tag that is not valid"),
        ([{}], GOOD, "is not in it"),
    ],
)
def test_archives_that_are_wrong(tmp_path: Path, entries: Any, files: dict[str, bytes], message: str) -> None:
    with pytest.raises(BuilderError, match=message):
        read_docker_archive(archive(tmp_path / "x.tar", entries, files))


@pytest.mark.parametrize("links", [{"2": "2"}, {"2": "x", "x": "2"}, {"2": "/etc/passwd"}, {"2": "../../etc/passwd"}])
def test_links_stay_inside_and_end(tmp_path: Path, links: dict[str, str]) -> None:
    files = {"c": CONFIG, "1": TARS[0]}
    with pytest.raises(StorageError, match="2 is not in it"):
        read_docker_archive(archive(tmp_path / "x.tar", [ENTRY], files, links))


@pytest.mark.parametrize(
    ("data", "message", "hint"),
    [
        (b"", "not a docker archive", None),
        (b"text" * 1000, "not a docker archive", None),
        (gzip.compress(b"x" * 10240), "not a docker archive", "decompress it first (gzip -d)"),
        (tar_of(x=b"1"), "no manifest.json", "docker save"),
        (tar_of(**{"manifest.json": b"["}), "manifest.json of .* is not valid", None),
    ],
)
def test_what_is_no_archive(tmp_path: Path, data: bytes, message: str, hint: str | None) -> None:
    (tmp_path / "x").write_bytes(data)
    with pytest.raises(StorageError, match=message) as caught:
        read_docker_archive(tmp_path / "x")
    assert (hint or "") in (caught.value.hint or "")


def test_an_archive_that_is_cut_off(tmp_path: Path) -> None:
    write_docker_archive(tmp_path / "x.tar", make_image(*TARS, compression="none"), [])
    whole = (tmp_path / "x.tar").read_bytes()
    (tmp_path / "x.tar").write_bytes(whole[:50_000])
    with pytest.raises(StorageError):
        read_docker_archive(tmp_path / "x.tar")


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="No such file"):
        read_docker_archive(tmp_path / "x.tar")
