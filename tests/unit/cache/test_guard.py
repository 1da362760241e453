from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from entries import content, result

from builder.cache.base import CachedLayer
from builder.cache.guard import guarded
from builder.digest import Digest, Readable
from builder.errors import DigestMismatch, Interrupted, StorageError, UnusableLayer
from builder.registry.errors import Cancelled
from builder.rootfs.directory import Ownership
from builder.rootfs.unpacked import LayerStore


class Failing:
    """A BlobSource that fails when it is opened, or when it is read."""

    def __init__(self, error: BaseException, *, opening: bool) -> None:
        self._error, self._opening = error, opening

    @contextmanager
    def open(self) -> Iterator[Readable]:
        if self._opening:
            raise self._error
        yield self

    def read(self, size: int = -1, /) -> bytes:
        raise self._error


def failing(error: BaseException, *, opening: bool) -> CachedLayer:
    found = result()
    return replace(found, origin="the cache", blob=replace(found.blob, source=Failing(error, opening=opening)))


def test_what_is_right_is_read() -> None:
    assert content(guarded(result())) == b"a tar"


@pytest.mark.parametrize("opening", [True, False])
@pytest.mark.parametrize("error", [DigestMismatch("other bytes"), StorageError("cannot read")])
def test_whatever_is_wrong_with_a_cached_layer_is_told_as_that(error: Exception, opening: bool) -> None:
    with pytest.raises(UnusableLayer, match="the cached layer the cache is of no use: "):
        content(guarded(failing(error, opening=opening)))


@pytest.mark.parametrize("error", [Cancelled(), Interrupted(2, "SIGINT"), KeyError("a bug")])
def test_what_is_no_fault_of_the_cache_is_passed_on(error: Exception) -> None:
    with pytest.raises(type(error)):
        content(guarded(failing(error, opening=False)))


def tar_of(name: str) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        tar.addfile(tarfile.TarInfo(name))
    return stream.getvalue()


def store(directory: Path) -> LayerStore:
    scratch = directory / "scratch"
    scratch.mkdir(exist_ok=True)
    owners = os.geteuid() == 0
    return LayerStore(directory / "layers", Ownership(owners=owners), "test", scratch)


def test_the_diff_id_of_a_cached_layer_is_verified_when_it_is_unpacked(tmp_path: Path) -> None:
    layer = result(tar_of("file"))
    index, place = store(tmp_path).unpack(guarded(layer).blob)
    assert [path for path, _ in index.members] == ["file"]
    assert place is not None
    lying = replace(layer, diff_id=Digest.of(b"something else"))
    with pytest.raises(UnusableLayer, match="wrong content"):
        store(tmp_path).unpack(guarded(lying).blob)
    with pytest.raises(UnusableLayer, match="wrong content"):
        store(tmp_path).index(guarded(lying).blob)


def test_a_layer_that_was_read_before_without_its_diff_id_is_verified_all_the_same(tmp_path: Path) -> None:
    layer = result(tar_of("file"))
    store(tmp_path).unpack(layer.blob)
    with pytest.raises(UnusableLayer):
        store(tmp_path).unpack(guarded(replace(layer, diff_id=Digest.of(b"something else"))).blob)
    assert store(tmp_path).unpack(guarded(layer).blob)[1] is not None


def test_a_verified_layer_is_not_read_again(tmp_path: Path) -> None:
    layer = result(tar_of("file"))
    store(tmp_path).unpack(guarded(layer).blob)
    gone = replace(layer, blob=replace(layer.blob, source=Failing(StorageError("gone"), opening=True)))
    assert store(tmp_path).unpack(guarded(gone).blob)[1] is not None


def test_a_cached_layer_that_is_no_tar(tmp_path: Path) -> None:
    with pytest.raises(UnusableLayer):
        store(tmp_path).unpack(guarded(result(b"no tar" * 500)).blob)
