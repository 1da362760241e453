"""Writing a layer: digests, flat memory, and what happens when the content or the sink fails in the middle."""

from __future__ import annotations

import errno
import gzip
import hashlib
import io
import os
import random
import resource
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tar_samples import by_path, read_tar

from builder.errors import BuilderError, ContextError
from builder.layer.entry import BytesContent, Entry, FileContent, Kind
from builder.layer.writer import write_layer

BIG = random.Random(1).randbytes(6 << 20)


@pytest.fixture(autouse=True)
def _no_thread_stays() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    assert set(threading.enumerate()) <= before


def file(data: bytes) -> Entry:
    return Entry(Kind.FILE, 0o644, size=len(data), content=BytesContent(data))


class Failing:
    """A sink that takes so many bytes, then the disk is full."""

    def __init__(self, capacity: int) -> None:
        self._left = capacity

    def write(self, data: bytes, /) -> int:
        self._left -= len(data)
        if self._left < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return len(data)


@pytest.mark.parametrize("algorithm", ["gzip", "zstd", "none"])
@pytest.mark.parametrize("data", [b"", b"small", BIG], ids=["empty", "small", "big"])
def test_digests_and_sizes_are_those_of_what_was_written(algorithm: str, data: bytes) -> None:
    sink = io.BytesIO()
    written = write_layer({"f": file(data)}, sink, algorithm)
    packed = sink.getvalue()
    assert (written.digest.hex, written.size) == (hashlib.sha256(packed).hexdigest(), len(packed))
    tar = {
        "gzip": gzip.decompress,
        "none": bytes,
        "zstd": lambda text: __import__("zstandard").ZstdDecompressor().decompressobj().decompress(text),
    }[algorithm](packed)
    assert (written.diff_id.hex, written.unpacked_size) == (hashlib.sha256(tar).hexdigest(), len(tar))
    assert by_path(read_tar(tar))["f"].data == data


def test_the_same_changes_give_the_same_bytes() -> None:
    changes = {"a": file(BIG), "b": file(b"x"), "c": None}
    results = set()
    for _ in range(2):
        sink = io.BytesIO()
        write_layer(changes, sink, "gzip", deterministic=True)
        results.add(sink.getvalue())
    assert len(results) == 1


def test_inline_and_threaded_writing_give_the_same_bytes() -> None:
    """A layer of just under and just over the size from which threads are used, uncompressed, is the tar itself."""
    for size in ((1 << 20) - 2000, (1 << 20) - 512, 1 << 20, (1 << 20) + 1, 3 << 20):
        sink = io.BytesIO()
        write_layer({"f": file(BIG[:size])}, sink, "none")
        assert by_path(read_tar(sink.getvalue()))["f"].data == BIG[:size]


def _packed_size(changes: dict[str, Entry | None], algorithm: str) -> int:
    return write_layer(changes, io.BytesIO(), algorithm).size


@pytest.mark.parametrize("algorithm", ["gzip", "zstd", "none"])
@pytest.mark.parametrize("data", [b"small", BIG], ids=["small", "big"])
@pytest.mark.parametrize("where", ["first", "middle", "last"])
@pytest.mark.timeout(30)
def test_a_full_disk(algorithm: str, data: bytes, where: str) -> None:
    changes = {"f": file(data), "g": file(data)}
    total = _packed_size(changes, algorithm)
    capacity = {"first": 0, "middle": total // 2, "last": total - 1}[where]
    with pytest.raises(OSError, match="No space left on device"):
        write_layer(changes, Failing(capacity), algorithm)
    write_layer(changes, Failing(total), algorithm)


class Broken:
    """A content that gives so many bytes and then fails, or cannot be opened at all."""

    def __init__(self, error: Exception, after: int | None = None) -> None:
        self._error, self._after = error, after

    def open(self) -> BinaryIO:
        if self._after is None:
            raise self._error
        broken = self

        class Stream(io.BytesIO):
            def read(self, size: int | None = -1, /) -> bytes:
                data = super().read(size)
                if not data:
                    raise broken._error
                return data

        return Stream(BIG[: self._after])


@pytest.mark.parametrize("after", [None, 0, 100, 3 << 20])
@pytest.mark.parametrize("before", [b"", BIG], ids=["at once", "after 6 MiB"])
@pytest.mark.timeout(30)
def test_content_that_cannot_be_read(after: int | None, before: bytes) -> None:
    cases = [
        (FileNotFoundError(errno.ENOENT, "No such file or directory"), "/b/f vanished while it was copied"),
        (PermissionError(errno.EACCES, "Permission denied"), "cannot read what becomes /b/f: Permission denied"),
        (OSError(errno.EIO, "Input/output error"), "cannot read what becomes /b/f: Input/output error"),
    ]
    for error, message in cases:
        entry = Entry(Kind.FILE, 0o644, size=5 << 20, content=Broken(error, after))
        with pytest.raises(ContextError, match=message):
            write_layer({"a": file(before), "b/f": entry}, io.BytesIO(), "gzip")


@pytest.mark.timeout(30)
def test_an_error_of_the_content_itself_is_passed_on() -> None:
    class Special(BuilderError):
        pass

    entry = Entry(Kind.FILE, 0o644, size=5, content=Broken(Special("the layer below is damaged")))
    with pytest.raises(Special):
        write_layer({"a": file(BIG), "b": entry}, io.BytesIO(), "gzip")


@pytest.mark.parametrize("difference", [-1, 1, -(2 << 20), 1 << 20])
@pytest.mark.parametrize("size", [3 << 20, 5000])
@pytest.mark.timeout(30)
def test_a_file_that_shrinks_or_grows(difference: int, size: int) -> None:
    actual = max(0, size + difference)
    entry = Entry(Kind.FILE, 0o644, size=size, content=BytesContent(BIG[:actual]))
    with pytest.raises(ContextError, match="/f changed while it was copied") as caught:
        write_layer({"f": entry}, io.BytesIO(), "gzip")
    assert caught.value.hint


def test_a_symlink_that_took_the_files_place_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"secret")
    (tmp_path / "f").symlink_to("secret")
    entry = Entry(Kind.FILE, 0o644, size=6, content=FileContent(str(tmp_path / "f")))
    with pytest.raises(ContextError, match="cannot read what becomes /f"):
        write_layer({"f": entry}, io.BytesIO(), "none")


@pytest.mark.timeout(30)
def test_a_pipe_that_took_the_files_place_makes_nobody_wait(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "f")
    entry = Entry(Kind.FILE, 0o644, size=6, content=FileContent(str(tmp_path / "f")))
    with pytest.raises(ContextError, match="changed"):
        write_layer({"f": entry}, io.BytesIO(), "none")


@pytest.mark.timeout(30)
def test_an_interrupted_write_ends_its_threads() -> None:
    class Interrupting:
        def open(self) -> BinaryIO:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_layer(
            {"a": file(BIG), "b": Entry(Kind.FILE, 0o644, size=5, content=Interrupting())}, io.BytesIO(), "gzip"
        )


@pytest.mark.timeout(60)
def test_memory_does_not_grow_with_the_size_of_files() -> None:
    class Zeros:
        def __init__(self, size: int) -> None:
            self.left = size

        def open(self) -> BinaryIO:
            outer = self

            class Stream(io.RawIOBase):
                def read(self, size: int = -1, /) -> bytes:
                    count = min(size, outer.left)
                    outer.left -= count
                    return bytes(count)

            return Stream()

    class Nothing:
        def write(self, data: bytes, /) -> None:
            return

    size = 300 << 20
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    written = write_layer({"f": Entry(Kind.FILE, 0o644, size=size, content=Zeros(size))}, Nothing(), "gzip")
    assert written.unpacked_size == size + 512 + 1024
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 60 << 10  # KiB


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(0, 3 << 20), max_size=4), st.integers(0, 12 << 20), st.sampled_from(["gzip", "none"]))
@pytest.mark.timeout(60)
def test_a_sink_that_fails_anywhere(sizes: list[int], capacity: int, algorithm: str) -> None:
    changes = {f"f{number}": file(BIG[:size]) for number, size in enumerate(sizes)}
    total = _packed_size(changes, algorithm)
    try:
        assert write_layer(changes, Failing(capacity), algorithm).size == total
        assert capacity >= total
    except OSError:
        assert capacity < total
