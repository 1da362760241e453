"""Layers as the state directory keeps them: their headers, and their files unpacked; shared by all builds.

Both are kept under the digest of the blob, which was verified when it was read: a diff_id is only a claim of the
image's config. A directory appears under its name by a rename when it is complete; two builds may make the same one,
the second is thrown away.
"""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from builder.digest import Readable
from builder.errors import LayerError
from builder.layer.compression import decompressed
from builder.layer.entry import BytesContent, Entry, Kind, Member
from builder.layer.pipeline import ReadAhead
from builder.layer.tar_reader import TarReader
from builder.layer.whiteouts import is_reserved, opaque_directory, whited_out
from builder.rootfs.directory import DirectoryWriter, NotSelfContained, Ownership, write_all
from builder.rootfs.index import KEPT_FILES, MAX_KEPT, LayerIndex, is_self_contained
from builder.storage.blob import Blob
from builder.storage.failure import explained


class LayerStore:
    """The layers below `directory`. Thread-safe; any number of processes may use it at once.

    Args:
        ownership: how files are unpacked.
        scratch: where that is done, on the same filesystem; whoever made it removes it.
        flavour: names the directories that are unpacked so; files unpacked with other owners are not shared.
    """

    def __init__(self, directory: Path, ownership: Ownership, flavour: str, scratch: Path) -> None:
        self._directory, self._scratch = directory, scratch
        self.ownership = ownership
        self.flavour = flavour

    def index(self, blob: Blob) -> LayerIndex:
        """The layer's headers, kept or read out of the blob. Raises LayerError, DigestMismatch, StorageError."""
        return self._kept_index(blob) or self._read(blob, None)[0]

    def unpack(self, blob: Blob) -> tuple[LayerIndex, Path | None]:
        """The layer's headers and the directory of its files; None for one that is not self-contained."""
        place = self._place(blob, self.flavour)
        index = self._kept_index(blob)
        if index is not None and (place.is_dir() or not index.self_contained):
            return index, place if index.self_contained else None
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
        what = f"layer {blob.descriptor.digest}"
        # Receiving and verifying, inflating, and writing files each have a thread.
        with blob.source.open() as raw, ReadAhead(raw) as packed, ReadAhead(decompressed(packed, what)) as tar:
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
                if writer is not None and self._write(writer, member):
                    writer = None
            except NotSelfContained:
                writer = None
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
            return LayerIndex.from_json(self._index_path(blob).read_bytes())
        except OSError:
            return None

    def _keep_index(self, blob: Blob, index: LayerIndex) -> None:
        path = self._index_path(blob)
        unfinished = path.with_name(f".index-{os.getpid()}-{secrets.token_hex(4)}")
        with explained("write", path):
            path.parent.mkdir(parents=True, exist_ok=True)
            unfinished.write_bytes(index.to_json())
            unfinished.rename(path)


def _all(data: Readable) -> bytes:
    return b"".join(iter(lambda: data.read(MAX_KEPT), b""))
