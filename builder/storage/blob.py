"""A blob that is somewhere: its descriptor, and where its bytes can be streamed from."""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Protocol

from builder.digest import Digest, Readable, VerifyingReader
from builder.image.descriptor import Descriptor
from builder.image.reference import Reference
from builder.storage.failure import explained, storage_error

CHUNK = 1 << 20


class BlobSource(Protocol):
    """Where a blob's bytes are.

    `open` gives a stream from the beginning that raises DigestMismatch at its end if the bytes are not the blob's.
    It may be called several times, and from several threads at once.
    """

    def open(self) -> AbstractContextManager[Readable]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Blob:
    """A layer or config, wherever it is.

    Attributes:
        diff_id: what its uncompressed bytes must hash to, if that is not known to be so; verified when it is unpacked.
        origin: a repository that is known to hold it, so that a push to the same registry can mount it instead.
    """

    descriptor: Descriptor
    source: BlobSource
    origin: Reference | None = None
    diff_id: Digest | None = None


@dataclass(frozen=True, slots=True)
class MemoryBlob:
    """A BlobSource of a few bytes in memory: an image config."""

    data: bytes = field(repr=False)

    @contextlib.contextmanager
    def open(self) -> Iterator[Readable]:
        yield io.BytesIO(self.data)


@dataclass(frozen=True, slots=True)
class FileBlob:
    """A BlobSource of a part of a file, or of all of it.

    Attributes:
        offset: where in the file the blob begins, in bytes; `descriptor` says how long it is.
    """

    path: Path
    descriptor: Descriptor
    offset: int = 0

    @contextlib.contextmanager
    def open(self) -> Iterator[Readable]:
        """Raises StorageError if the file cannot be opened, or later read."""
        what = f"blob {self.descriptor.digest} in {self.path}"
        with explained("read", self.path):
            descriptor = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        with open(descriptor, "rb", buffering=0) as stream:
            if self.offset:
                stream.seek(self.offset)
            part = _Part(stream, self.descriptor.size, self.path)
            yield VerifyingReader(part, self.descriptor.digest, self.descriptor.size, what)


class _Part:
    """The next `size` bytes of a file."""

    def __init__(self, stream: BinaryIO, size: int, path: Path) -> None:
        self._stream, self._left, self._path = stream, size, path

    def read(self, size: int = -1, /) -> bytes:
        wanted = self._left if size < 0 else min(size, self._left)
        try:
            chunk = self._stream.read(wanted)
        except OSError as error:
            raise storage_error("read", self._path, error) from error
        self._left -= len(chunk)
        return chunk


def copy(source: Readable, write: Writable) -> int:
    """Stream everything from `source` to `write` in chunks of 1 MiB; returns the number of bytes."""
    total = 0
    while chunk := source.read(CHUNK):
        write.write(chunk)
        total += len(chunk)
    return total


class Writable(Protocol):
    """What content is written to."""

    def write(self, data: bytes, /) -> object: ...
