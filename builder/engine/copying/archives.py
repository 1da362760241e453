"""ADD of local tar archives: told by their content, unpacked into the tree."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from builder.engine.copying.copier import Copier
from builder.errors import ContextError, LayerError
from builder.layer.compression import decompressed, detect
from builder.layer.entry import Content, Entry, FileContent, Kind, Member
from builder.layer.paths import join, split
from builder.layer.tar_header import BLOCK, checksum_fits
from builder.layer.tar_reader import TarReader
from builder.rootfs.directory import write_all
from builder.rootfs.stat import CAPABILITY
from builder.rootfs.tree import FileTree
from builder.storage.failure import explained


def is_archive(content: Content, what: str = "a source of ADD") -> bool:
    """Whether the bytes are a tar, plain or compressed by gzip, bzip2, xz or zstd, that begins well.

    Raises ContextError if they cannot be read.
    """
    with _opened(content, what) as stream:
        head = stream.read(6)
    with _opened(content, what) as stream:
        try:
            readable = decompressed(stream, "archive") if detect(head) else stream
            block = b""
            while len(block) < BLOCK and (more := readable.read(BLOCK - len(block))):
                block += more
        except LayerError:
            return False
    return len(block) == BLOCK and any(block) and checksum_fits(block)


@dataclass(frozen=True, slots=True, kw_only=True)
class Unpacking:
    """How an archive is unpacked.

    Attributes:
        owner: of every entry; None keeps the archive's.
        time: mtime of every entry; None keeps the archive's.
        scratch: where the bytes of files are kept until the layer is written.
    """

    owner: tuple[int, int] | None
    time: int | None
    scratch: Path


def unpack(content: Content, what: str, copier: Copier, tree: FileTree, target: str, how: Unpacking) -> None:
    """Unpack an archive below the directory `target`, whose own metadata its ``.`` entry does not touch.

    Links of the tree are followed inside it; an entry replaces what is there unless both are directories.
    Raises LayerError for an archive that is damaged or leads out of its root, ContextError for one that cannot be read.
    """
    with _opened(content, what) as stream:
        for member in TarReader(decompressed(stream, what), what):
            if member.path:
                _unpack_member(member, what, copier, tree, target, how)


@contextmanager
def _opened(content: Content, what: str) -> Iterator[BinaryIO]:
    try:
        stream = content.open()
    except OSError as error:
        raise ContextError(f"cannot read {what}: {error.strerror}") from None
    with stream:
        yield stream


def _unpack_member(member: Member, what: str, copier: Copier, tree: FileTree, target: str, how: Unpacking) -> None:
    parent, name = split(join(target, member.path))
    parent = tree.find(parent).path
    copier.make_directories(parent)
    place = join(parent, name)
    if member.entry.kind is Kind.HARDLINK:
        entry = _linked(member, what, tree, target)
    else:
        entry = _with_owner(member.entry, how)
        if member.data is not None and entry.size:
            entry = entry._replace(content=_kept(member, entry, how.scratch))
        elif entry.kind is Kind.FILE:
            entry = entry._replace(content=None)
    existing = tree.entry(place)
    if existing is not None and (existing.kind is Kind.DIRECTORY) != (entry.kind is Kind.DIRECTORY):
        copier.remove(place)
    copier.put_as_is(place, entry)


def _linked(member: Member, what: str, tree: FileTree, target: str) -> Entry:
    parent, name = split(join(target, member.entry.link))
    entry = tree.entry(join(tree.find(parent).path, name))
    if entry is None or entry.kind is Kind.DIRECTORY:
        raise LayerError(f"{what} has a hardlink {member.path} to {member.entry.link}, which is not there")
    return entry


def _with_owner(entry: Entry, how: Unpacking) -> Entry:
    # As of files on disk, no other attribute belongs to an image; least of all what overlayfs would listen to.
    capability = (entry.xattrs or {}).get(CAPABILITY)
    entry = entry._replace(xattrs=None if capability is None else {CAPABILITY: capability})
    if entry.kind is Kind.SYMLINK:
        entry = entry._replace(mode=0o777)  # whatever the archive says, on a disk a link has no other
    if how.owner is not None:
        entry = entry._replace(uid=how.owner[0], gid=how.owner[1])
    return entry if how.time is None else entry._replace(mtime=how.time)


def _kept(member: Member, entry: Entry, scratch: Path) -> Content:
    """The bytes of a member in a file of their own: the stream passes by only once, the layer is written later."""
    assert member.data is not None
    path = scratch / secrets.token_hex(12)
    with explained("write", path), open(path, "xb", buffering=0) as file:
        write_all(file.fileno(), member.data, entry.size, member.path)
    return FileContent(str(path))
