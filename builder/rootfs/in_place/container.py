"""The container's root filesystem: its own files moved aside, stages taking turns, and everything put back."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path

from builder.errors import StorageError
from builder.rootfs.in_place.context import PreservedContext
from builder.rootfs.in_place.journal import Journal
from builder.rootfs.in_place.moving import move_content, remove_content
from builder.rootfs.in_place.protected import ProtectedPaths
from builder.rootfs.in_place.shifted import ShiftedDirectories
from builder.rootfs.in_place.stage_files import StageFiles
from builder.storage.failure import explained
from builder.storage.locks import try_exclusive

ROOT = "/."
"""The root directory, to which ``/path`` can be appended."""


class Container:
    """The root filesystem of this container, lent to one stage at a time.

    `turn` is held by who changes files; `restore` waits for it.

    Args:
        protected: what is never touched.
        home: a directory for what is moved aside, below a protected one and on the root's filesystem if possible.
        warn: takes what people should know.
        before: called once, right before the first file is moved: whatever is needed of the old files is loaded then.
        context: restored between stages and at the end, if it is to be preserved.
        root: the root directory.
    """

    def __init__(
        self,
        protected: ProtectedPaths,
        home: Path,
        warn: Callable[[str], None],
        before: Callable[[], None] = lambda: None,
        context: PreservedContext | None = None,
        root: str = ROOT,
    ) -> None:
        self.protected, self.root = protected, root
        self._home, self._aside = home, home / "aside"
        self._journal = Journal(home)
        self._shifted, self._shifts = _shifted(home, root), dict[StageFiles, list[str]]()
        self._warn, self._before = warn, before
        self._context = context
        self._warned: set[str] = set()
        self.turn = threading.RLock()
        self._closed = False
        self._lock: ExitStack | None = None
        self._occupant: tuple[StageFiles, Path] | None = None

    def warn_once(self, key: str, message: str) -> None:
        if key not in self._warned:
            self._warned.add(key)
            self._warn(message)

    def occupy(self, files: StageFiles, scratch: Path) -> bool:
        """Give the root to the stage of `files`; those of another one go to its scratch directory.

        Returns whether the stage's files were moved back into the root. Raises OSError, StorageError.
        """
        self.check()
        if self._occupant is not None and self._occupant[0] is files:
            return False
        if self._lock is None:
            self._lend()
        self._evict()
        self._occupant = files, scratch
        with files.moving(self.root):
            if files.directory == self.root or not os.path.isdir(files.directory):
                return False
            for path in self._shifts.get(files, ()):
                self._shifted.shift(path, self.protected)
            move_content(files.directory, self.root, self.protected)
            return True

    def shift(self, path: str) -> bool:
        """Move a directory with mounts away, because the image has something else there; whether that can be done."""
        assert self._occupant is not None
        if not self._shifted.shift(path, self.protected):
            return False
        self._shifts.setdefault(self._occupant[0], []).append(path)
        return True

    def check(self) -> None:
        """Raises StorageError if the container's own files are about to be put back, or are there again."""
        if self._closed:
            raise StorageError("the build was stopped")

    def vacate(self, files: StageFiles) -> None:
        """The stage of `files` is not needed any more. Raises OSError."""
        if self._occupant is not None and self._occupant[0] is files:
            with self.turn:
                self._occupant = None
                remove_content(self.root, self.protected)
                self._shifted.put_back()

    def is_directory(self, path: str) -> bool:
        """Whether there is a directory at `path` of the root now, and no link to one."""
        here = f"{self.root}/{path}"
        return os.path.isdir(here) and not os.path.islink(here)

    def restore(self, *, keep: bool = False) -> None:
        """Remove what stages have left and put the container's own files back. Idempotent.

        Args:
            keep: leave the root as it is now; the next build puts the container's files back.

        Raises StorageError.
        """
        self._closed = True
        with self.turn:
            if self._lock is None:
                return
            self._occupant = None
            lock, self._lock = self._lock, None
            with lock:
                if not keep:
                    put_back(self._home, self.protected, "lent", self._warn, self.root)
                if self._context is not None:
                    self._context.close()
            with suppress(OSError):
                self._home.rmdir()

    def _lend(self) -> None:
        with explained("write", self._home), ExitStack() as stack:
            self._home.mkdir(parents=True, exist_ok=True, mode=0o700)
            if not stack.enter_context(try_exclusive(self._home)):
                raise StorageError("another build uses this container's filesystem")
            _check_writable(self.root)
            self._before()
            if self._context is not None:
                self._context.save()
            self._aside.mkdir(mode=0o755)
            self._journal.begin(self.protected)
            self._lock = stack.pop_all()  # from here on `restore` is needed
        try:
            move_content(self.root, str(self._aside), self.protected)
            self._make_ways()
            self._journal.note("lent")
        except BaseException:
            lock, self._lock = self._lock, None
            with lock:
                put_back(self._home, self.protected, "begun", self._warn, self.root)
            raise

    def _make_ways(self) -> None:
        """Make the directories of outputs that do not exist yet, so that nothing else takes their place."""
        for path in sorted(self.protected.above):
            with suppress(FileExistsError, NotADirectoryError):
                os.mkdir(f"{self.root}/{path}", 0o755)

    def _evict(self) -> None:
        if self._occupant is None:
            return
        (files, scratch), self._occupant = self._occupant, None
        target = scratch / "root"
        target.mkdir(mode=0o755)
        with files.moving(str(target)):
            move_content(self.root, str(target), self.protected)
        self._shifted.put_back()
        if self._context is not None:
            self._context.restore()


def recover(home: Path, protected: ProtectedPaths, warn: Callable[[str], None], root: str = ROOT) -> bool:
    """Put back the container's files that a build which was killed has moved aside; whether there were any.

    Nothing happens while that build still lives. Raises StorageError.
    """
    journal = Journal(home)
    found = journal.read()
    if found is None:
        with suppress(OSError):
            (home / "aside").rmdir()
        return False
    with try_exclusive(home) as alone:
        if not alone:
            return False
        step, left = found
        put_back(home, left.joined((*protected.paths,)), step, warn, root)
    with suppress(OSError):
        home.rmdir()
    return True


def put_back(home: Path, protected: ProtectedPaths, step: str, warn: Callable[[str], None], root: str) -> None:
    """Put back what is aside, `step` being the last of the journal. Raises StorageError."""
    journal, aside = Journal(home), home / "aside"
    with explained("restore", Path("/")):
        if step == "lent":
            failures = remove_content(root, protected)
            _shifted(home, root).put_back()
            with suppress(StorageError):  # what was removed may not have made enough room
                journal.note("cleared")
            for failure in failures[:3]:
                warn(f"cannot remove {failure.filename}: {failure.strerror}")
        if aside.is_dir():
            move_content(str(aside), root, protected)
            shutil.rmtree(aside)
        journal.end()


def _shifted(home: Path, root: str) -> ShiftedDirectories:
    return ShiftedDirectories(home / "shifted", root)


def _check_writable(root: str) -> None:
    """Raises StorageError if nothing can be made in the root directory."""
    probe = f"{root}/.builder-{os.getpid()}"
    before = os.stat(root)
    try:
        os.mkdir(probe)
        os.rmdir(probe)
        os.utime(root, ns=(before.st_atime_ns, before.st_mtime_ns))
    except OSError as error:
        raise StorageError(
            f"the container's root directory cannot be written: {error.strerror}",
            hint="in-place builds need a container whose root filesystem is not read-only, and root in it",
        ) from None
