"""A directory on disk as a SourceTree: the build context, read as far as it is asked for."""

from __future__ import annotations

import os
import stat
from typing import Protocol

from builder.errors import ContextError
from builder.layer.entry import Entry, Kind
from builder.layer.paths import join, split
from builder.rootfs.stat import entry_of
from builder.rootfs.tree import Found, resolve


class Ignore(Protocol):
    """Which paths are left out (.dockerignore)."""

    def excludes(self, path: str) -> bool: ...

    def may_include_below(self, directory: str) -> bool: ...


class DiskTree:
    """The files below a directory, owned by 0:0, without those that `ignore` excludes.

    Symlinks are resolved inside the directory. What has been looked at is remembered, so one COPY sees one state.
    Hardlinks are the same Entry object.
    """

    def __init__(self, root: str, ignore: Ignore | None = None) -> None:
        self._root = root
        self._ignore = ignore
        self._entries: dict[str, Entry | None] = {}
        self._names: dict[str, list[str]] = {}
        self._linked: dict[tuple[int, int], Entry] = {}

    def find(self, path: str, *, follow: bool = True) -> Found:
        return resolve(self.entry, path, follow=follow)

    def entry(self, path: str) -> Entry | None:
        """What is at `path` literally. Raises ContextError if it cannot be looked at."""
        if path not in self._entries:
            self._entries[path] = self._look(path)
        return self._entries[path]

    def names(self, path: str) -> list[str]:
        if path not in self._names:
            entry = self.entry(path)
            is_directory = entry is not None and entry.kind is Kind.DIRECTORY
            self._names[path] = self._list(path) if is_directory else []
        return self._names[path]

    def is_ignored(self, path: str) -> bool:
        """Whether something is at `path` that .dockerignore excludes (for messages)."""
        return self._ignore is not None and os.path.lexists(join(self._root, path)) and self.entry(path) is None

    def _look(self, path: str) -> Entry | None:
        parent, name = split(path)
        if name:
            above = self.entry(parent)
            if above is None or above.kind is not Kind.DIRECTORY:
                return None
        entry = self._stat(path)
        if entry is None or not path or self._ignore is None or not self._ignore.excludes(path):
            return entry
        # An excluded directory is there for the sake of what an exception brings back, and only then.
        if entry.kind is Kind.DIRECTORY and self._ignore.may_include_below(path) and self._any_included(path):
            return entry
        return None

    def _any_included(self, path: str) -> bool:
        assert self._ignore is not None
        with self._scan(path) as found:
            for each in found:
                below = join(path, each.name)
                if not self._ignore.excludes(below):
                    return True
                is_directory = each.is_dir(follow_symlinks=False)
                if is_directory and self._ignore.may_include_below(below) and self._any_included(below):
                    return True
        return False

    def _list(self, path: str) -> list[str]:
        with self._scan(path) as found:
            names = sorted(each.name for each in found)
        if self._ignore is None:
            return [name for name in names if self._plain(join(path, name)) is not None]
        return [name for name in names if self.entry(join(path, name)) is not None]

    def _plain(self, path: str) -> Entry | None:
        """`entry` where the parent is known to be a directory and nothing is ignored."""
        entry = self._entries[path] = self._stat(path)
        return entry

    def _scan(self, path: str) -> os._ScandirIterator[str]:
        try:
            return os.scandir(os.path.join(self._root, path))
        except OSError as error:
            raise ContextError(f"cannot read {path or 'the context'}: {error.strerror}") from None

    def _stat(self, path: str) -> Entry | None:
        location = f"{self._root}/{path}" if path else self._root
        try:
            status = os.lstat(location)
            linked = status.st_nlink > 1 and not stat.S_ISDIR(status.st_mode)
            if linked and (known := self._linked.get((status.st_dev, status.st_ino))):
                return known
            entry = entry_of(location, status, owner=(0, 0))
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise ContextError(f"cannot read {path} of the context: {error.strerror}") from None
        if linked and entry is not None:
            self._linked[status.st_dev, status.st_ino] = entry
        return entry
