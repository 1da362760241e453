"""Blobs that are kept on disk while they are read for the first time, because they will be read again."""

from __future__ import annotations

import contextlib
import secrets
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from builder.digest import Readable
from builder.image.descriptor import Descriptor
from builder.storage.blob import Blob, BlobSource, FileBlob

_HELD = 12 << 20
"""Bytes from the beginning that are held in memory: the first files mostly show whether a blob will be read again.

Whoever receives the blob is that much ahead of whoever reads those files (see layer/pipeline)."""


class KeptBlob:
    """A BlobSource that asks another one at most once, if `keep` is called in time. Thread-safe.

    Args:
        directory: for the file; removed by whoever made it.
    """

    def __init__(self, source: BlobSource, descriptor: Descriptor, directory: Path) -> None:
        self._source, self._descriptor = source, descriptor
        self._path = directory / f"blob-{secrets.token_hex(4)}"
        self._lock = threading.Lock()
        self.wanted = False

    def keep(self) -> None:
        """The bytes will be wanted again. In time is before the first reading, or not long after it began."""
        self.wanted = True

    @contextlib.contextmanager
    def open(self) -> Iterator[Readable]:
        """See BlobSource. Raises StorageError if the file cannot be read or written."""
        if not self.wanted and not self._path.exists():
            with self._source.open() as stream, _Copying(stream, self) as copying:
                yield copying
            return
        with self._lock:  # whoever comes second waits, and finds the file
            if not self._path.exists():
                with self._source.open() as stream, _Copying(stream, self) as copying:
                    yield copying
                return
        with FileBlob(self._path, self._descriptor).open() as stream:
            yield stream

    def new_file(self) -> BinaryIO | None:
        """A file to copy to; None if there is no room, which is no reason to fail."""
        with suppress(OSError):
            return open(self._unfinished, "xb", buffering=0)
        return None

    def finished(self, complete: bool) -> None:
        """The copy is complete, or is not wanted."""
        with suppress(OSError):
            if complete:
                self._unfinished.rename(self._path)
            else:
                self._unfinished.unlink()

    @property
    def _unfinished(self) -> Path:
        return self._path.with_suffix(".unfinished")


class _Copying:
    """A stream of which a copy is written, from the moment on that somebody wants it."""

    def __init__(self, stream: Readable, blob: KeptBlob) -> None:
        self._stream, self._blob = stream, blob
        self._held: list[bytes] | None = []
        self._size = 0
        self._file: BinaryIO | None = None
        self._ended = False

    def read(self, size: int = -1, /) -> bytes:
        chunk = self._stream.read(size)
        self._ended = self._ended or (not chunk and size != 0)
        if self._file is not None:
            self._write(chunk)
        elif self._held is not None:
            self._hold(chunk)
        return chunk

    def __enter__(self) -> _Copying:
        return self

    def __exit__(self, *_: object) -> None:
        if self._ended and self._blob.wanted and self._file is None:
            self._spill()
        self._held = None
        if self._file is not None:
            self._end(self._ended)

    def _hold(self, chunk: bytes) -> None:
        assert self._held is not None
        self._held.append(chunk)
        self._size += len(chunk)
        if self._blob.wanted:
            self._spill()
        elif self._size > _HELD:
            self._held = None

    def _spill(self) -> None:
        held, self._held = self._held, None
        self._file = self._blob.new_file() if held is not None else None
        for chunk in held or ():
            self._write(chunk)

    def _write(self, chunk: bytes) -> None:
        left = memoryview(chunk)
        try:
            while left and self._file is not None:
                left = left[self._file.write(left) :]
        except OSError:  # no room: it will be downloaded again, which is no reason to fail
            self._end(False)

    def _end(self, complete: bool) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None
            self._blob.finished(complete)


def keep(blob: Blob) -> None:
    """The bytes of the blob will be wanted again; see KeptBlob."""
    if isinstance(blob.source, KeptBlob):
        blob.source.keep()
