"""Content by digest in a directory: ``blobs/<algorithm>/<hex>``, as an OCI layout has it.

Any number of processes may use a store at once. A blob is written under a temporary name and renamed when it is
complete, so a name that exists always has its content. Nothing is flushed to the disk (fsync): every reader verifies
the digest, so a blob that a power failure has damaged is noticed, and a flush for each would cost more than the build.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

from builder.digest import Digest, Readable
from builder.errors import DigestMismatch, StorageError
from builder.image.descriptor import Descriptor
from builder.storage.blob import FileBlob
from builder.storage.failure import explained, storage_error


class BlobStore:
    """Blobs by digest below a directory, which is made when the first one is written."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def path(self, digest: Digest) -> Path:
        """Where the blob is, or would be."""
        return self.directory / "blobs" / digest.algorithm / digest.hex

    def has(self, digest: Digest, size: int | None = None) -> bool:
        """True if the blob is there (and has `size` bytes, if given); its content is verified when it is read."""
        try:
            found = os.stat(self.path(digest)).st_size
        except OSError:
            return False
        return size is None or size == found

    def open(self, digest: Digest) -> AbstractContextManager[Readable]:
        """A verified stream of the blob. Raises StorageError if it is not there."""
        path = self.path(digest)
        with explained("read", path):
            size = os.stat(path).st_size
        return FileBlob(path, Descriptor(media_type="", digest=digest, size=size)).open()

    def source(self, descriptor: Descriptor) -> FileBlob:
        """The BlobSource of the blob that `descriptor` names."""
        return FileBlob(self.path(descriptor.digest), descriptor)

    def put(self, data: bytes) -> Digest:
        """Store `data`, unless it is there already; returns its sha256 digest. Raises StorageError."""
        digest = Digest.of(data)
        if not self.has(digest, len(data)):
            with self.ingest() as writer:
                writer.write(data)
                writer.commit(digest, len(data))
        return digest

    @contextlib.contextmanager
    def ingest(self, *, verify: Digest | None = None) -> Iterator[BlobWriter]:
        """A writer for a blob whose digest is known at the end; what is not committed is removed.

        With `verify`, what is written is hashed and `commit` raises DigestMismatch if it is another blob. Without,
        the caller vouches for the digest (it has hashed the bytes itself). Raises StorageError.
        """
        directory = self.directory / "ingest"
        with explained("write to", directory):
            directory.mkdir(parents=True, exist_ok=True)
            descriptor, name = tempfile.mkstemp(dir=directory)
        writer = BlobWriter(self, descriptor, Path(name), verify)
        try:
            yield writer
        finally:
            writer.close()

    def remove(self, digest: Digest) -> None:
        """Remove the blob, if it is there; who has it open can read on. Raises StorageError."""
        with explained("remove", self.path(digest)):
            self.path(digest).unlink(missing_ok=True)


class BlobWriter:
    """Takes the bytes of one blob. Not for several threads at once."""

    def __init__(self, store: BlobStore, descriptor: int, temporary: Path, verify: Digest | None) -> None:
        self._store, self._temporary, self._verify = store, temporary, verify
        self._hash = hashlib.new(verify.algorithm) if verify else None
        self._descriptor: int | None = descriptor
        self._committed = False
        self.size = 0

    @property
    def path(self) -> Path:
        """The temporary file, until the blob is committed."""
        return self._temporary

    def write(self, data: bytes, /) -> int:
        """Append `data`, all of it. Raises StorageError, with advice if the disk is full."""
        if self._descriptor is None:
            raise ValueError("the blob is already committed or closed")
        left = memoryview(data)
        try:
            while left:
                left = left[os.write(self._descriptor, left) :]
        except OSError as error:
            raise storage_error("write to", self._store.directory, error) from error
        if self._hash:
            self._hash.update(data)
        self.size += len(data)
        return len(data)

    def commit(self, digest: Digest, size: int | None = None) -> Path:
        """Make what was written the blob `digest`; returns its path.

        Raises:
            DigestMismatch: it is not `size` bytes long, or it was to be verified and is something else.
            StorageError: it cannot be renamed.
        """
        if size is not None and size != self.size:
            raise DigestMismatch(f"blob {digest} has {self.size} bytes instead of {size}")
        if self._hash and (self._verify != digest or self._hash.hexdigest() != digest.hex):
            raise DigestMismatch(
                f"blob {digest} has the wrong content: its digest is {digest.algorithm}:{self._hash.hexdigest()}"
            )
        path = self._store.path(digest)
        with explained("write", path):
            path.parent.mkdir(parents=True, exist_ok=True)
            os.chmod(self._temporary, 0o644)
            self._close_file()
            os.replace(self._temporary, path)
        self._committed = True
        return path

    def close(self) -> None:
        """Close the file; remove it unless it was committed."""
        self._close_file()
        if not self._committed:
            with contextlib.suppress(OSError):
                self._temporary.unlink()

    def _close_file(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def abandoned(store: BlobStore) -> list[Path]:
    """Temporary files that a killed process may have left; who calls this holds the store exclusively."""
    try:
        return sorted((store.directory / "ingest").iterdir())
    except FileNotFoundError:
        return []
    except OSError as error:
        raise StorageError(f"cannot list {store.directory}: {error.strerror}") from error
