"""Entries written as real files below a directory."""

from __future__ import annotations

import os
import shutil
import stat
from dataclasses import dataclass
from typing import Literal

from builder.digest import Readable
from builder.errors import LayerError
from builder.layer.entry import Entry, Kind
from builder.layer.paths import split
from builder.rootfs.stat import is_whiteout
from builder.rootfs.tree import DEFAULT_DIRECTORY

_CHUNK = 1 << 20
_ZEROS = bytes(_CHUNK)
_OVERLAY_XATTRS = ("trusted.overlay.", "user.overlay.")
_CREATE = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True, slots=True, kw_only=True)
class Ownership:
    """What this process may set on files.

    Attributes:
        owners: any uid and gid may be given away; else all files are this process' own.
        modes: files get their exact modes; else at least the owner's read and write bits are added, special bits are
            left out, and devices are not made (a process that only keeps the bytes, as an ordinary user).
        opaque: the attribute that marks an overlay's directory opaque.
        overlay: whether layers are unpacked to be mounted as overlays, so that what they hide is to be marked.
    """

    owners: bool
    modes: bool = True
    overlay: bool = True
    opaque: Literal["trusted.overlay.opaque", "user.overlay.opaque"] = "trusted.overlay.opaque"

    @property
    def marks(self) -> bool:
        """Whether whiteouts and opaque directories are made."""
        return self.modes and self.overlay


class NotSelfContained(Exception):
    """A layer that makes sense only upon the ones below: a hardlink to them, a path through their symlinks."""


class DirectoryWriter:
    """Writes entries below `root`, which exists. No symlink below it is ever followed.

    Entries come parents first; directories get their modes and times in `finish`, which must be called last. A path
    that is written again replaces what was there. Raises OSError.

    Attributes:
        implied: directories that were made because something below them came without them.
        skipped: paths of what could not be made here (devices without the privilege).
    """

    def __init__(self, root: str, ownership: Ownership) -> None:
        self._root = root
        self._ownership = ownership
        self._umask = _current_umask()
        self._known = {""}
        self._directories: dict[str, Entry] = {}
        self.implied: set[str] = set()
        self.skipped: set[str] = set()

    def put(self, path: str, entry: Entry, data: Readable | None = None) -> None:
        """Write one entry; `data` gives a regular file's bytes (none are written without it)."""
        parent = split(path)[0]
        if parent not in self._known:
            self._make_parents(parent)
        if entry.kind is Kind.DIRECTORY:
            self._make_directory(path)
            self._directories[path] = entry
            return
        try:
            self._make(path, entry, data)
        except FileExistsError:
            self.remove(path)
            self._make(path, entry, data)

    def link(self, path: str, target: str) -> None:
        """Make `path` another name of `target`, written before. Raises NotSelfContained if it is not there."""
        parent = split(path)[0]
        if parent not in self._known:
            self._make_parents(parent)
        if split(target)[0] not in self._known or target in self._known:
            raise NotSelfContained(f"hardlink {path} to {target}")
        if target in self.skipped:
            self.skipped.add(path)
            return
        try:
            self._link(path, target)
        except FileExistsError:
            if path != target:
                self.remove(path)
                self._link(path, target)

    def whiteout(self, path: str) -> None:
        """Hide `path` of the lower layers, as overlayfs wants it."""
        parent = split(path)[0]
        if parent not in self._known:
            self._make_parents(parent)
        if path in self._known:
            self.opaque(path)  # made again in the same layer: only what is below is hidden
            return
        try:
            os.mknod(self._at(path), stat.S_IFCHR, os.makedev(0, 0))
        except FileExistsError:
            return

    def opaque(self, path: str) -> None:
        """Hide what the lower layers have in the directory `path`."""
        if path not in self._known:
            self._make_parents(path)
        os.setxattr(self._at(path), self._ownership.opaque, b"y")

    def remove(self, path: str) -> None:
        """Remove `path` with all below it, if it is there."""
        location = self._at(path)
        if not self._is_real_directory(split(path)[0]):
            return
        try:
            if stat.S_ISDIR(os.lstat(location).st_mode):
                shutil.rmtree(location)
                prefix = path + "/"
                self._known = {each for each in self._known if each != path and not each.startswith(prefix)}
                self._directories = {each: entry for each, entry in self._directories.items() if each in self._known}
            else:
                os.unlink(location)
        except FileNotFoundError:
            return

    def finish(self) -> None:
        """Give the directories their owners, modes and times, innermost first."""
        for path in sorted(self._directories, reverse=True):
            entry = self._directories[path]
            location = self._at(path)
            if self._ownership.owners:
                os.chown(location, entry.uid, entry.gid)
            os.chmod(location, self._mode(entry) | (0 if self._ownership.modes else 0o100))
            self._set_xattrs(location, entry)
            os.utime(location, (entry.mtime, entry.mtime))
        self._directories = {}

    def _at(self, path: str) -> str:
        return f"{self._root}/{path}" if path else self._root

    def _mode(self, entry: Entry) -> int:
        return entry.mode if self._ownership.modes else entry.mode & 0o777 | 0o600

    def _make_parents(self, path: str) -> None:
        above = split(path)[0]
        if above not in self._known:
            self._make_parents(above)
        location = self._at(path)
        try:
            os.mkdir(location, 0o700)
        except FileExistsError:
            if stat.S_ISDIR(os.lstat(location).st_mode):
                self._known.add(path)
                return
            if not is_whiteout(os.lstat(location)):
                raise NotSelfContained(f"/{path} is no directory") from None
            self._replace_by_directory(location)
        self.implied.add(path)
        self._directories[path] = DEFAULT_DIRECTORY
        self._known.add(path)

    def _is_real_directory(self, path: str) -> bool:
        """Whether `path` is a directory that no symlink leads to."""
        if path in self._known:
            return True
        if not self._is_real_directory(split(path)[0]):
            return False
        try:
            is_directory = stat.S_ISDIR(os.lstat(self._at(path)).st_mode)
        except FileNotFoundError:
            return False
        if is_directory:
            self._known.add(path)
        return is_directory

    def _make_directory(self, path: str) -> None:
        if path in self._known:
            self.implied.discard(path)
            return
        location = self._at(path)
        try:
            os.mkdir(location, 0o700)
        except FileExistsError:
            if not stat.S_ISDIR(os.lstat(location).st_mode):
                self._replace_by_directory(location)
        self._known.add(path)

    def _replace_by_directory(self, location: str) -> None:
        was_whiteout = is_whiteout(os.lstat(location))
        os.unlink(location)
        os.mkdir(location, 0o700)
        if was_whiteout:
            os.setxattr(location, self._ownership.opaque, b"y")

    def _link(self, path: str, target: str) -> None:
        try:
            os.link(self._at(target), self._at(path), follow_symlinks=False)
        except FileNotFoundError:
            raise NotSelfContained(f"hardlink {path} to {target}") from None

    def _make(self, path: str, entry: Entry, data: Readable | None) -> None:
        location = self._at(path)
        if entry.kind is Kind.FILE:
            self._make_file(location, entry, data)
            return
        if entry.kind is Kind.SYMLINK:
            os.symlink(entry.link, location)
        elif not self._make_special(location, entry):
            self.skipped.add(path)
            return
        if self._ownership.owners and (entry.uid or entry.gid):
            os.chown(location, entry.uid, entry.gid, follow_symlinks=False)
        if entry.kind is not Kind.SYMLINK:
            os.chmod(location, self._mode(entry))
        os.utime(location, (entry.mtime, entry.mtime), follow_symlinks=False)

    def _make_special(self, location: str, entry: Entry) -> bool:
        if entry.kind is Kind.FIFO:
            os.mkfifo(location, 0o600)
            return True
        if entry.device in (None, (0, 0)) or not self._ownership.modes:
            return False
        assert entry.device is not None
        file_type = stat.S_IFCHR if entry.kind is Kind.CHAR else stat.S_IFBLK
        try:
            os.mknod(location, file_type | 0o600, os.makedev(*entry.device))
        except PermissionError:
            return False
        return True

    def _make_file(self, location: str, entry: Entry, data: Readable | None) -> None:
        mode = self._mode(entry)
        descriptor = os.open(location, _CREATE, mode & 0o777)
        try:
            if entry.size and data is not None:
                write_all(descriptor, data, entry.size, location)
            if self._ownership.owners and (entry.uid or entry.gid):
                os.fchown(descriptor, entry.uid, entry.gid)
            if mode & (0o7000 | self._umask):
                os.fchmod(descriptor, mode)
            if entry.xattrs:
                self._set_xattrs(location, entry)
            os.utime(descriptor, (entry.mtime, entry.mtime))
        finally:
            os.close(descriptor)

    def _set_xattrs(self, location: str, entry: Entry) -> None:
        for name, value in (entry.xattrs or {}).items():
            # A layer must not be able to speak to overlayfs.
            if name.startswith(_OVERLAY_XATTRS):
                continue
            try:
                os.setxattr(location, name, value, follow_symlinks=False)
            except OSError:
                continue  # the tree keeps it; only commands run here do not see it


def write_all(descriptor: int, data: Readable, size: int, what: str) -> None:
    """Write `size` bytes of `data`, leaving holes for whole blocks of zeros. Raises LayerError if there are fewer."""
    left, hole = size, False
    while left:
        chunk = data.read(min(left, _CHUNK))
        if not chunk:
            raise LayerError(f"{what} ends {left} bytes early")
        left -= len(chunk)
        hole = len(chunk) == _CHUNK and chunk == _ZEROS
        if hole:
            os.lseek(descriptor, len(chunk), os.SEEK_CUR)
            continue
        view = memoryview(chunk)
        while view:
            view = view[os.write(descriptor, view) :]
    if hole:
        os.ftruncate(descriptor, size)


def _current_umask() -> int:
    # Reading it through os.umask would change it for a moment, for all threads.
    with open("/proc/self/status", encoding="ascii", errors="replace") as status:
        for line in status:
            if line.startswith("Umask:"):
                return int(line.split()[1], 8)
    return 0o777
