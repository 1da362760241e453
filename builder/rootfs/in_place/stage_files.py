"""Where the files of one stage are: in the root as long as it is the stage's turn, then in its scratch directory."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO

from builder.layer.entry import Entry, FileContent
from builder.layer.paths import join
from builder.rootfs.diff import LinkedContent


class StageFiles:
    """The files of a stage on disk. Thread-safe.

    Args:
        directory: where they are.
    """

    def __init__(self, directory: str) -> None:
        self.directory = directory
        self._lock = threading.RLock()

    def open(self, paths: Iterable[str], inode: int | None = None) -> BinaryIO:
        """Open the first of `paths` that is the file `inode`, else the first; it may be read while files are moved."""
        with self._lock:
            places = [join(self.directory, path) for path in paths]
            for place in places if inode is not None else ():
                try:
                    if os.lstat(place).st_ino == inode:
                        return FileContent(place).open()
                except (FileNotFoundError, NotADirectoryError):
                    continue
            return FileContent(places[0]).open()

    @contextmanager
    def moving(self, directory: str) -> Iterator[None]:
        """In the block the files are moved to `directory`; nobody opens any meanwhile."""
        with self._lock:
            yield
            self.directory = directory


@dataclass(frozen=True, slots=True)
class StageContent:
    """The bytes of a file of a stage, which has all of the names `paths`."""

    files: StageFiles
    paths: tuple[str, ...]
    inode: int | None = None

    def open(self) -> BinaryIO:
        return self.files.open(self.paths, self.inode)


def rebased(changes: dict[str, Entry | None], files: StageFiles) -> dict[str, Entry | None]:
    """`changes` with the contents that are files below the directory of `files` as StageContents.

    Hardlinks, which are one Entry, stay one.
    """
    prefix = len(files.directory) + 1
    made: dict[int, Entry] = {}
    result: dict[str, Entry | None] = {}
    for path, entry in changes.items():
        if entry is None or not isinstance(entry.content, FileContent | LinkedContent):
            result[path] = entry
            continue
        if id(entry) not in made:
            made[id(entry)] = entry._replace(content=_content(entry.content, files, prefix))
        result[path] = made[id(entry)]
    return result


def _content(content: FileContent | LinkedContent, files: StageFiles, prefix: int) -> StageContent:
    if isinstance(content, FileContent):
        return StageContent(files, (content.path[prefix:],))
    return StageContent(files, tuple(name[prefix:] for name in content.names), content.inode)
