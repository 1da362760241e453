from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from builder.digest import Digest
from builder.errors import DigestMismatch, StorageError
from builder.image.descriptor import Descriptor
from builder.storage.blob import FileBlob, MemoryBlob
from builder.storage.blobs import BlobStore, abandoned

DATA = b"content" * 100_000
DIGEST = Digest.of(DATA)


def test_put_and_read(tmp_path: Path) -> None:
    store = BlobStore(tmp_path / "store")
    assert not store.has(DIGEST)
    assert store.put(DATA) == DIGEST
    assert store.has(DIGEST)
    assert store.path(DIGEST) == tmp_path / "store/blobs/sha256" / DIGEST.hex
    assert store.path(DIGEST).stat().st_mode & 0o777 == 0o644
    with store.open(DIGEST) as stream:
        assert stream.read() == DATA
    with store.source(Descriptor.of("", DATA)).open() as stream:
        assert b"".join(iter(lambda: stream.read(1000), b"")) == DATA


def test_a_size_that_differs_is_not_the_blob(tmp_path: Path) -> None:
    store = BlobStore(tmp_path)
    store.put(DATA)
    assert store.has(DIGEST, len(DATA))
    assert not store.has(DIGEST, 1)


def test_ingest(tmp_path: Path) -> None:
    store = BlobStore(tmp_path)
    with store.ingest() as writer:
        for start in range(0, len(DATA), 1000):
            writer.write(DATA[start : start + 1000])
        assert writer.size == len(DATA)
        assert writer.commit(DIGEST, len(DATA)) == store.path(DIGEST)
    assert store.path(DIGEST).read_bytes() == DATA
    assert abandoned(store) == []


def test_what_is_not_committed_is_gone(tmp_path: Path) -> None:
    store = BlobStore(tmp_path)
    with store.ingest() as writer:
        writer.write(DATA)
        assert len(abandoned(store)) == 1
    with pytest.raises(KeyboardInterrupt), store.ingest() as writer:
        writer.write(DATA)
        raise KeyboardInterrupt
    assert abandoned(store) == []
    assert not store.has(DIGEST)


@pytest.mark.parametrize(("data", "size"), [(DATA[1:] + b"x", None), (DATA, 7)])
def test_commit_verifies(tmp_path: Path, data: bytes, size: int | None) -> None:
    store = BlobStore(tmp_path)
    with pytest.raises(DigestMismatch), store.ingest(verify=DIGEST) as writer:
        writer.write(data)
        writer.commit(DIGEST, size)
    assert not store.has(DIGEST)
    assert abandoned(store) == []


def test_a_damaged_blob_is_noticed(tmp_path: Path) -> None:
    store = BlobStore(tmp_path)
    store.put(DATA)
    store.path(DIGEST).write_bytes(DATA[:-1] + b"!")
    with pytest.raises(DigestMismatch, match="wrong content"), store.open(DIGEST) as stream:
        stream.read()
    store.path(DIGEST).write_bytes(DATA[:-1])
    with pytest.raises(DigestMismatch, match="ends after"), store.source(Descriptor.of("", DATA)).open() as stream:
        stream.read()


def test_a_blob_that_is_not_there(tmp_path: Path) -> None:
    store = BlobStore(tmp_path)
    for source in (lambda: store.open(DIGEST), lambda: store.source(Descriptor.of("", DATA)).open()):
        with pytest.raises(StorageError, match="No such file"), source():
            pass
    store.remove(DIGEST)


def test_remove(tmp_path: Path) -> None:
    store = BlobStore(tmp_path)
    store.put(DATA)
    with store.open(DIGEST) as stream:
        store.remove(DIGEST)
        assert stream.read() == DATA
    assert not store.has(DIGEST)


def test_a_full_disk_is_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int, data: bytes) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    store = BlobStore(tmp_path)
    with store.ingest() as writer:
        monkeypatch.setattr(os, "write", full)
        with pytest.raises(StorageError, match="No space left") as caught:
            writer.write(DATA)
    assert "builder prune" in (caught.value.hint or "")


def test_short_writes_are_continued(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: real(descriptor, data[:1000]))
    store = BlobStore(tmp_path)
    store.put(DATA)
    assert store.path(DIGEST).read_bytes() == DATA


def test_a_directory_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StorageError, match="Not a directory"):
        BlobStore(tmp_path / "file/store").put(DATA)


def test_a_part_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "archive").write_bytes(b"before" + DATA + b"after")
    blob = FileBlob(tmp_path / "archive", Descriptor.of("", DATA), offset=6)
    for _ in range(2):
        with blob.open() as stream:
            assert stream.read() == DATA
            assert stream.read(10) == b""


def test_memory() -> None:
    for _ in range(2):
        with MemoryBlob(DATA).open() as stream:
            assert stream.read() == DATA


def test_sha512(tmp_path: Path) -> None:
    import hashlib

    digest = Digest("sha512", hashlib.sha512(DATA).hexdigest())
    store = BlobStore(tmp_path)
    with store.ingest(verify=digest) as writer:
        writer.write(DATA)
        writer.commit(digest)
    assert store.path(digest).parent.name == "sha512"
