"""A blob that is kept while it is read is asked for once, and is what it was."""

from __future__ import annotations

import contextlib
import io
import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from builder.digest import Digest, Readable
from builder.image.descriptor import Descriptor
from builder.storage.kept import KeptBlob

SMALL, LARGE = b"a few bytes", os.urandom(1 << 20) * 20


@dataclass
class Registry:
    """A BlobSource that counts how often it is asked."""

    data: bytes
    asked: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    @contextlib.contextmanager
    def open(self) -> Iterator[Readable]:
        with self.lock:
            self.asked += 1
        yield io.BytesIO(self.data)


def kept(registry: Registry, directory: Path) -> KeptBlob:
    descriptor = Descriptor(media_type="", digest=Digest.of(registry.data), size=len(registry.data))
    return KeptBlob(registry, descriptor, directory)


def read(blob: KeptBlob, *, keep_after: int | None = None) -> bytes:
    with blob.open() as stream:
        data = b""
        while chunk := stream.read(1 << 20):
            data += chunk
            if keep_after is not None and len(data) >= keep_after:
                blob.keep()
        return data


@pytest.mark.parametrize("data", [b"", SMALL, LARGE], ids=["empty", "small", "large"])
@pytest.mark.parametrize("keep_after", [None, 0, 3 << 20], ids=["before", "at once", "after a while"])
def test_it_is_asked_for_once(data: bytes, keep_after: int | None, tmp_path: Path) -> None:
    registry = Registry(data)
    blob = kept(registry, tmp_path)
    if keep_after is None or len(data) <= keep_after:
        blob.keep()
    assert [read(blob, keep_after=keep_after), read(blob), read(blob)] == [data] * 3
    assert registry.asked == 1
    assert len(os.listdir(tmp_path)) == 1


def test_nothing_is_written_if_nobody_wants_it(tmp_path: Path) -> None:
    registry = Registry(LARGE)
    blob = kept(registry, tmp_path)
    assert [read(blob), read(blob)] == [LARGE] * 2
    assert registry.asked == 2
    assert os.listdir(tmp_path) == []


def test_too_late(tmp_path: Path) -> None:
    registry = Registry(LARGE)
    blob = kept(registry, tmp_path)
    assert read(blob, keep_after=len(LARGE) - 1) == LARGE
    assert [read(blob), read(blob)] == [LARGE] * 2
    assert registry.asked == 2


def test_what_was_not_read_to_its_end_is_not_kept(tmp_path: Path) -> None:
    registry = Registry(LARGE)
    blob = kept(registry, tmp_path)
    blob.keep()
    with blob.open() as stream:
        stream.read(5)
    assert os.listdir(tmp_path) == []
    assert read(blob) == LARGE


def test_two_at_once(tmp_path: Path) -> None:
    registry = Registry(LARGE)
    blob = kept(registry, tmp_path)
    blob.keep()
    found: list[bytes] = []
    threads = [threading.Thread(target=lambda: found.append(read(blob))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [LARGE] * 4
    assert registry.asked == 1


def test_no_room(tmp_path: Path) -> None:
    registry = Registry(SMALL)
    blob = kept(registry, tmp_path / "missing")
    blob.keep()
    assert [read(blob), read(blob)] == [SMALL] * 2
