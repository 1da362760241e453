"""The base-image cache (``--cache-dir``): an OCI layout that `warm` has filled, read before the registry is asked.

A tag is always resolved by the registry, by one request that is not counted as a pull; what it leads to is looked for
in the directory by digest. So an old directory never gives an old image, and a base named by its digest needs no
registry.
Any number of builds may read it while warmers write to it; it may be read-only.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from builder.digest import Digest, Readable, VerifyingReader
from builder.errors import BuilderError, DigestMismatch
from builder.image.descriptor import Descriptor
from builder.image.manifest import MAX_MANIFEST_BYTES
from builder.image.reference import Reference
from builder.progress import Progress, log
from builder.registry.client import FetchedManifest, Registries
from builder.storage.blob import CHUNK, Blob, BlobSource
from builder.storage.blobs import BlobStore
from builder.storage.oci_layout import REF_NAME, is_oci_layout, layout_entries


def with_base_images(directory: Path, registries: Registries) -> Registries | CachedImages:
    """Where a build finds images: in `directory`, if it is a layout, and in registries."""
    return CachedImages(directory, registries) if is_oci_layout(directory) else registries


class CachedImages:
    """Images of a layout, and of registries where it does not have them. Thread-safe.

    Whatever is wrong with the layout costs a warning: the registry has everything.
    """

    def __init__(self, directory: Path, registries: Registries) -> None:
        self._directory, self._registries = directory, registries
        self._store = BlobStore(directory)
        self._names = self._named()
        self._digests: dict[Reference, Digest | None] = {}

    @property
    def progress(self) -> Progress:
        return self._registries.progress

    def manifest_once(self, reference: Reference, /) -> FetchedManifest:
        """As Registries.manifest_once, of the layout if it is there."""
        digest = reference.digest or self._digest(reference)
        data = None if digest is None else self._kept(digest)
        if digest is None or data is None:
            return self._registries.manifest_once(reference)
        log(self.progress, "debug", f"{reference} is in {self._directory}")
        return FetchedManifest(data=data, media_type="", digest=digest, reference=reference.with_digest(digest))

    def _digest(self, reference: Reference) -> Digest | None:
        """What the tag of an image that was warmed leads to now; asked once, as the build is of one moment."""
        if str(reference) not in self._names:
            return None
        if reference not in self._digests:
            self._digests[reference] = self._registries.digest(reference)
        return self._digests[reference]

    @contextmanager
    def open_blob(self, repository: Reference, descriptor: Descriptor, /) -> Iterator[Readable]:
        """As Registries.open_blob, of the layout if it is there and intact."""
        with self.blob(repository, descriptor).source.open() as stream:
            yield stream

    def blob(self, repository: Reference, descriptor: Descriptor, /) -> Blob:
        """As Registries.blob: a push to the same registry mounts it, whatever the layout has."""
        remote = self._registries.blob(repository, descriptor)
        if not self._store.has(descriptor.digest, descriptor.size):
            return remote
        source = _StoredBlob(self._store.path(descriptor.digest), descriptor, remote.source, self.progress)
        return Blob(descriptor=descriptor, source=source, origin=remote.origin)

    def _named(self) -> frozenset[str]:
        try:
            entries = layout_entries(self._directory)
        except BuilderError as error:
            log(self.progress, "warning", f"the base images in {self._directory} are not used: {error.message}")
            return frozenset()
        found = [entry["annotations"] for entry in entries if isinstance(entry.get("annotations"), dict)]
        return frozenset(name for each in found if isinstance(name := each.get(REF_NAME), str))

    def _kept(self, digest: Digest) -> bytes | None:
        """A manifest or index that the layout has, verified."""
        try:
            size = os.stat(self._store.path(digest)).st_size
            if size > MAX_MANIFEST_BYTES:
                return None
            with self._store.open(digest) as stream:
                return stream.read()
        except OSError:
            return None
        except BuilderError as error:
            log(self.progress, "warning", f"{error.message}; it is fetched again")
            return None


_verified: set[tuple[int, int, int]] = set()
_verifying = threading.Lock()


@dataclass(frozen=True, slots=True)
class _StoredBlob:
    """A BlobSource of a file that is hashed before the first byte is given out, so that the registry can step in.

    A stream that turned out to be wrong at its end would be too late for that.
    """

    path: Path
    descriptor: Descriptor
    remote: BlobSource
    progress: Progress

    @contextmanager
    def open(self) -> Iterator[Readable]:
        try:
            file = self._intact()
        except (OSError, DigestMismatch) as error:
            problem = error.message if isinstance(error, DigestMismatch) else f"{self.path}: {error.strerror}"
            log(self.progress, "warning", f"{problem}; it is fetched from the registry")
            with self.remote.open() as stream:
                yield stream
            return
        with file:
            what = f"blob {self.descriptor.digest} in {self.path}"
            yield VerifyingReader(file, self.descriptor.digest, self.descriptor.size, what)

    def _intact(self) -> BinaryIO:
        """The open file at its beginning. Raises OSError, DigestMismatch."""
        file = open(self.path, "rb", buffering=0)  # noqa: SIM115 - it is handed on
        try:
            status = os.fstat(file.fileno())
            mark = status.st_dev, status.st_ino, status.st_mtime_ns
            with _verifying:
                known = mark in _verified
            if not known:
                what = f"blob {self.descriptor.digest} in {self.path}"
                reader = VerifyingReader(file, self.descriptor.digest, self.descriptor.size, what)
                while reader.read(CHUNK):
                    pass
                with _verifying:
                    _verified.add(mark)
                file.seek(0)
        except BaseException:
            file.close()
            raise
        return file
