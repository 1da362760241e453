"""A context that is a tar archive: unpacked safely, plain or compressed with gzip, bzip2, xz or zstd."""

from __future__ import annotations

import os
from pathlib import Path

from builder.digest import Readable
from builder.errors import ContextError, LayerError
from builder.layer.compression import decompressed
from builder.layer.entry import Entry, Kind, Member
from builder.layer.tar_reader import TarReader

_CHUNK = 1 << 20


def unpack_file(archive: Path, target: Path) -> None:
    """Unpack the archive file into the existing directory `target`. Raises ContextError."""
    try:
        stream = archive.open("rb")
    except FileNotFoundError:
        raise ContextError(f"the context archive {archive} does not exist") from None
    except OSError as error:
        raise ContextError(f"cannot read the context archive {archive}: {error.strerror}") from None
    with stream:
        unpack(stream, target, str(archive))


def unpack(stream: Readable, target: Path, what: str) -> None:
    """Unpack a tar stream into the existing directory `target`.

    Names that lead outside, device nodes, and members below a link are errors; links are made as they are. Owners and
    extended attributes are not kept. Raises ContextError, which calls the archive `what`.
    """
    root = os.open(target, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        _Unpacker(root, what).unpack(TarReader(decompressed(stream, what), what))
    except LayerError as error:
        raise ContextError(f"cannot unpack the context archive ({what}): {error.message}") from None
    except OSError as error:
        raise ContextError(f"cannot unpack the context archive ({what}): {error.strerror or error}") from None
    finally:
        os.close(root)


class _Unpacker:
    def __init__(self, root: int, what: str) -> None:
        self._root = root
        self._what = what
        self._directories: list[tuple[str, Entry]] = []

    def unpack(self, members: TarReader) -> None:
        empty = True
        for member in members:
            self._unpack(member)
            empty = False
        if empty:
            raise ContextError(f"the context archive ({self._what}) is empty")
        for path, entry in reversed(self._directories):
            self._finish_directory(path, entry)

    def _unpack(self, member: Member) -> None:
        if member.entry.kind is Kind.DIRECTORY:
            os.close(self._open_directory(member.path, make=True))
            self._directories.append((member.path, member.entry))
            return
        above, _, name = member.path.rpartition("/")
        parent = self._open_directory(above, make=True)
        try:
            self._make(member, parent, name)
        finally:
            os.close(parent)

    def _make(self, member: Member, parent: int, name: str) -> None:
        entry = member.entry
        if not name or entry.kind in (Kind.CHAR, Kind.BLOCK):
            raise ContextError(f"the context archive ({self._what}) holds a device node: {member.path!r}")
        _remove(parent, name)
        if entry.kind is Kind.SYMLINK:
            os.symlink(entry.link, name, dir_fd=parent)
            os.utime(name, (entry.mtime, entry.mtime), dir_fd=parent, follow_symlinks=False)
        elif entry.kind is Kind.HARDLINK:
            self._link(member, parent, name)
        elif entry.kind is Kind.FIFO:
            os.mkfifo(name, entry.mode, dir_fd=parent)
        else:
            _write(member, parent, name)

    def _link(self, member: Member, parent: int, name: str) -> None:
        above, _, source_name = member.entry.link.rpartition("/")
        source = self._open_directory(above, make=False)
        try:
            os.link(source_name, name, src_dir_fd=source, dst_dir_fd=parent, follow_symlinks=False)
        finally:
            os.close(source)

    def _open_directory(self, path: str, *, make: bool) -> int:
        """A descriptor of a directory below the root, reached without following any link."""
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
        current = os.dup(self._root)
        try:
            for part in path.split("/") if path else ():
                if make and not _exists(current, part):
                    os.mkdir(part, 0o755, dir_fd=current)
                below = os.open(part, flags, dir_fd=current)
                os.close(current)
                current = below
            return current
        except OSError as error:
            os.close(current)
            raise ContextError(
                f"the context archive ({self._what}) has no directory {path!r} to put a member into: {error.strerror}"
            ) from None

    def _finish_directory(self, path: str, entry: Entry) -> None:
        """Mode and time, once nothing is written into it any more; the root stays ours."""
        descriptor = self._open_directory(path, make=False)
        try:
            os.fchmod(descriptor, entry.mode if path else entry.mode | 0o700)
            os.utime(descriptor, (entry.mtime, entry.mtime))
        finally:
            os.close(descriptor)


def _write(member: Member, parent: int, name: str) -> None:
    entry, data = member.entry, member.data
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with open(os.open(name, flags, 0o600, dir_fd=parent), "wb", buffering=0) as file:
        while data and (chunk := data.read(_CHUNK)):
            file.write(chunk)
        os.fchmod(file.fileno(), entry.mode)
        os.utime(file.fileno(), (entry.mtime, entry.mtime))


def _exists(directory: int, name: str) -> bool:
    try:
        os.lstat(name, dir_fd=directory)
    except FileNotFoundError:
        return False
    return True


def _remove(directory: int, name: str) -> None:
    """A later member of the same name replaces the earlier one, as tar does."""
    try:
        os.unlink(name, dir_fd=directory)
    except FileNotFoundError:
        return
    except IsADirectoryError:
        os.rmdir(name, dir_fd=directory)
