"""Layers as the state directory keeps them: their headers, and their files unpacked; shared by all builds.

Both are kept under the digest of the blob, which was verified when it was read: a diff_id is only a claim of the
image's config. A directory appears under its name by a rename when it is complete; two builds may make the same one,
the second is thrown away.
"""

from __future__ import annotations

import os
import secrets
import shutil
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from builder.digest import Digest, Readable, VerifyingReader
from builder.errors import DigestMismatch, LayerError, StorageError, UnusableLayer
from builder.layer.compression import decompressed
from builder.layer.entry import BytesContent, Entry, Kind, Member
from builder.layer.pipeline import ReadAhead
from builder.layer.tar_reader import TarReader
from builder.layer.whiteouts import is_reserved, opaque_directory, whited_out
from builder.progress import Progress, Silent, working
from builder.rootfs.directory import DirectoryWriter, NotSelfContained, Ownership, write_all
from builder.rootfs.index import KEPT_FILES, MAX_KEPT, LayerIndex, is_self_contained
from builder.storage.blob import Blob
from builder.storage.failure import explained
from builder.storage.kept import keep
from builder.storage.locks import shared

_DIFF_ID = "diff_id"


class LayerStore:
    """The layers below `directory`. Thread-safe; any number of processes may use it at once.

    Args:
        ownership: how files are unpacked.
        scratch: where that is done, on the same filesystem; whoever made it removes it.
        flavour: names the directories that are unpacked so; files unpacked with other owners are not shared.
        progress: is told what was unpacked when.
    """

    def __init__(
        self,
        directory: Path,
        ownership: Ownership,
        flavour: str,
        scratch: Path,
        progress: Progress | None = None,
    ) -> None:
        self._directory, self._scratch = directory, scratch
        self._progress: Progress = progress or Silent()
        self.ownership = ownership
        self.flavour = flavour
        self._lock = threading.Lock()
        self._reading: defaultdict[Digest, threading.Lock] = defaultdict(threading.Lock)

    def index(self, blob: Blob) -> LayerIndex:
        """The layer's headers, kept or read out of the blob. Raises LayerError, DigestMismatch, StorageError."""
        with self._alone(blob):
            return self._kept_index(blob) or self._read(blob, None)[0]

    def unpack(self, blob: Blob) -> tuple[LayerIndex, Path | None]:
        """The layer's headers and the directory of its files; None for one that is not self-contained."""
        with self._alone(blob):
            place = self._place(blob, self.flavour)
            index = self._kept_index(blob)
            if index is not None and (place.is_dir() or not index.self_contained):
                return index, place if index.self_contained else None
            return self._unpack(blob, place)

    def _unpack(self, blob: Blob, place: Path) -> tuple[LayerIndex, Path | None]:
        with self._making(place) as unfinished:
            writer = DirectoryWriter(str(unfinished), self.ownership)
            index, complete = self._read(blob, writer)
            if not index.self_contained:
                return index, None
            if not complete:
                raise LayerError(f"layer {blob.descriptor.digest} cannot be unpacked")
            writer.finish()
            self._keep(unfinished, place)
        return index, place

    def unpack_upon(self, blob: Blob, chain: str, write: Callable[[DirectoryWriter], None]) -> Path:
        """A directory for a layer that depends on those below it, which `chain` names.

        `write` fills it; it is called only if the directory is not there yet.
        """
        self._use(blob)
        place = self._place(blob, f"{self.flavour}-{chain}")
        if not place.is_dir():
            with self._making(place) as unfinished:
                writer = DirectoryWriter(str(unfinished), self.ownership)
                write(writer)
                writer.finish()
                self._keep(unfinished, place)
        return place

    def is_unpacked(self, blob: Blob) -> bool:
        """Whether `unpack` would find the files there."""
        self._use(blob)
        return self._place(blob, self.flavour).is_dir()

    def extract(self, blob: Blob, paths: set[str]) -> dict[str, str]:
        """Write the files at `paths` of a self-contained layer somewhere into the scratch directory: path to place."""
        with explained("write", self._scratch):
            directory = self._scratch / f"extracted-{secrets.token_hex(4)}"
            directory.mkdir(mode=0o700)
            places: dict[str, str] = {}
            for member in self.members(blob):
                if member.path in paths and member.data is not None:
                    places[member.path] = place = str(directory / str(len(places)))
                    with open(place, "wb", buffering=0) as file:
                        write_all(file.fileno(), member.data, member.entry.size, member.path)
        return places

    def members(self, blob: Blob) -> Iterator[Member]:
        """Read the layer out of its blob, which is verified when the iteration completes."""
        try:
            yield from self._members(blob)
        except (LayerError, DigestMismatch) as error:
            if blob.diff_id is None or isinstance(error, UnusableLayer):
                raise
            raise UnusableLayer(f"a cached layer is of no use: {error.message}") from error

    def _members(self, blob: Blob) -> Iterator[Member]:
        digest = blob.descriptor.digest
        what = f"layer {digest}"
        # Receiving and verifying, inflating, and writing files each have a thread.
        with (
            working(self._progress, "unpack", f"{digest.algorithm}:{digest.hex[:12]}"),
            blob.source.open() as raw,
            ReadAhead(raw) as packed,
            ReadAhead(_verified(decompressed(packed, what), blob, what)) as tar,
        ):
            yield from TarReader(tar, what)

    def _read(self, blob: Blob, writer: DirectoryWriter | None) -> tuple[LayerIndex, bool]:
        """Read the blob once, for its headers and, as long as it is self-contained, for its files.

        Also whether all of its files were written.
        """
        rows: list[tuple[str, Entry]] = []
        for member in self.members(blob):
            entry, data = member.entry, member.data
            if member.path in KEPT_FILES and data is not None and entry.size <= MAX_KEPT:
                kept = BytesContent(_all(data))
                entry = entry._replace(content=kept)
                member = member._replace(data=kept.open())
            rows.append((member.path, entry))
            try:
                alone = writer is None or not self._write(writer, member)
            except NotSelfContained:
                alone = False
            if not alone:
                writer = None
                keep(blob)  # it will be unpacked upon the layers below
        index = LayerIndex(members=tuple(rows), self_contained=is_self_contained(rows))
        self._keep_index(blob, index)
        return index, writer is not None

    def _write(self, writer: DirectoryWriter, member: Member) -> bool:
        """Write one member; whether the layer turned out not to be self-contained."""
        path, entry, data = member
        if (opaque := opaque_directory(path)) is not None:
            if self.ownership.marks:
                writer.opaque(opaque)
        elif (gone := whited_out(path)) is not None:
            if self.ownership.marks:
                writer.whiteout(gone)
        elif is_reserved(path):
            return False
        elif entry.kind is Kind.HARDLINK:
            writer.link(path, entry.link)
        else:
            writer.put(path, entry, data)
        return bool(writer.implied)

    @contextmanager
    def _alone(self, blob: Blob) -> Iterator[None]:
        """Let one thread read a layer; the next finds what it has made."""
        self._use(blob)
        with self._lock:
            lock = self._reading[blob.descriptor.digest]
        with lock:
            yield

    def _use(self, blob: Blob) -> None:
        """Touch the layer's directory, so that it is not removed as long as this build lives (see cache/garbage)."""
        directory = self._directory / blob.descriptor.digest.hex
        if directory.is_dir():
            with suppress(StorageError, OSError), shared(self._directory / "lock"):
                os.utime(directory)

    def _place(self, blob: Blob, name: str) -> Path:
        return self._directory / blob.descriptor.digest.hex / name

    @contextmanager
    def _making(self, place: Path) -> Iterator[Path]:
        """A new directory on the filesystem of `place`, removed at the end unless it was kept."""
        unfinished = self._scratch / f"unpacking-{secrets.token_hex(4)}"
        with explained("write", self._directory):
            try:
                unfinished.mkdir(mode=0o755)
                place.parent.mkdir(parents=True, exist_ok=True, mode=0o755)
                yield unfinished
            finally:
                shutil.rmtree(unfinished, ignore_errors=True)

    def _keep(self, unfinished: Path, place: Path) -> None:
        try:
            unfinished.rename(place)
        except OSError:
            if not place.is_dir():
                raise

    def _index_path(self, blob: Blob) -> Path:
        return self._place(blob, "index.json")

    def _kept_index(self, blob: Blob) -> LayerIndex | None:
        try:
            if blob.diff_id is not None and self._place(blob, _DIFF_ID).read_text() != str(blob.diff_id):
                return None
            return LayerIndex.from_json(self._index_path(blob).read_bytes())
        except OSError:
            return None

    def _keep_index(self, blob: Blob, index: LayerIndex) -> None:
        self._write_file(self._index_path(blob), index.to_json())
        if blob.diff_id is not None:  # by now it is known to be true
            self._write_file(self._place(blob, _DIFF_ID), str(blob.diff_id).encode())

    def _write_file(self, path: Path, data: bytes) -> None:
        unfinished = path.with_name(f".index-{os.getpid()}-{secrets.token_hex(4)}")
        with explained("write", path):
            path.parent.mkdir(parents=True, exist_ok=True)
            unfinished.write_bytes(data)
            unfinished.rename(path)


def _verified(tar: Readable, blob: Blob, what: str) -> Readable:
    """The same stream, verified if it is not known what it should be but by hearsay."""
    return VerifyingReader(tar, blob.diff_id, None, f"{what}, uncompressed,") if blob.diff_id is not None else tar


def _all(data: Readable) -> bytes:
    return b"".join(iter(lambda: data.read(MAX_KEPT), b""))
