"""Places inside a root filesystem, found without ever leaving it, and made where they are missing."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from typing import Literal

from builder.isolation.sandbox.protocol import CopiedUp, Stub

_MOST_LINKS = 40  # as the kernel's MAXSYMLINKS
_LOOK = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC

Make = Literal["directory", "file"]


class Root:
    """A mounted root filesystem.

    Args:
        path: where it is mounted.
        upper: the upper directory if it is an overlay.

    Attributes:
        path: where it is mounted, without symlinks.
        descriptor: of its directory (O_PATH).
        stubs: what `open` had to make, in the order in which it did.
    """

    def __init__(self, path: str, upper: str | None = None) -> None:
        self.descriptor = os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        self.stubs: list[Stub] = []
        self.path = _path_of(self.descriptor)
        self._upper = upper
        self._mount = _mount_id(self.descriptor)

    def open(self, path: str, make: Make | None = None, *, keep: bool = False) -> int:
        """A descriptor (O_PATH) of `path`, every symlink taken as the command would see it; the caller closes it.

        Args:
            path: absolute, as seen from inside.
            make: what to make if it is missing (its parents too, 0755); None to raise FileNotFoundError.
            keep: what is made is to stay in the image, so it is no stub.
        """
        walk = _Walk(self.descriptor, path)
        try:
            while walk.pending:
                name = walk.pending.pop()
                try:
                    walk.enter(name)
                except FileNotFoundError:
                    if make is None:
                        raise
                    self._make(walk, name, directory=make == "directory" or bool(walk.pending), keep=keep)
                    walk.enter(name)
            return os.dup(walk.here)
        finally:
            walk.close()

    def _make(self, walk: _Walk, name: str, *, directory: bool, keep: bool) -> None:
        before = os.fstat(walk.here)
        path = os.path.normpath(os.path.join(self._relative(walk.here), name))
        whiteout = self._upper is not None and _is_whiteout(os.path.join(self._upper, path))
        copied_up = tuple(self._to_be_copied_up(walk))
        if directory:
            os.mkdir(name, 0o755, dir_fd=walk.here)
        else:
            os.close(os.open(name, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o644, dir_fd=walk.here))
        if keep or _mount_id(walk.here) != self._mount:
            return
        self.stubs.append(
            Stub(
                path=path,
                directory=directory,
                whiteout=whiteout,
                parent_times=(before.st_atime_ns, before.st_mtime_ns),
                made_at=os.fstat(walk.here).st_mtime_ns,
                copied_up=copied_up,
            )
        )

    def _to_be_copied_up(self, walk: _Walk) -> Iterator[CopiedUp]:
        if self._upper is None:
            return
        for directory in reversed(walk.trail):
            path = self._relative(directory)
            if os.path.lexists(os.path.join(self._upper, path)):
                return
            status = os.fstat(directory)
            yield CopiedUp(path, (status.st_mode, status.st_uid, status.st_gid, status.st_mtime_ns))

    def _relative(self, descriptor: int) -> str:
        return os.path.relpath(_path_of(descriptor), self.path)


class _Walk:
    """A path on its way to being resolved: the directories passed through, and the names still to come."""

    def __init__(self, root: int, path: str) -> None:
        self._root = root
        self.trail: list[int] = []
        self._links = 0
        self.pending = _names(path)

    @property
    def here(self) -> int:
        return self.trail[-1] if self.trail else self._root

    def enter(self, name: str) -> None:
        """Go into `name`; if it is a symlink, what it names comes next."""
        if name == "..":
            if self.trail:
                os.close(self.trail.pop())
            return
        found = os.open(name, _LOOK, dir_fd=self.here)
        if stat.S_ISLNK(os.fstat(found).st_mode):
            self._follow(found, name)
        else:
            self.trail.append(found)

    def _follow(self, link: int, name: str) -> None:
        target = os.readlink("", dir_fd=link)
        os.close(link)
        self._links += 1
        if self._links > _MOST_LINKS:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), name)
        if target.startswith("/"):
            self.close()
        self.pending.extend(_names(target))

    def close(self) -> None:
        while self.trail:
            os.close(self.trail.pop())


def by_descriptor(descriptor: int) -> str:
    """A path for calls that take no descriptor."""
    return f"/proc/self/fd/{descriptor}"


def _names(path: str) -> list[str]:
    """The parts of a path, last first."""
    return [name for name in reversed(path.split("/")) if name not in ("", ".")]


def _path_of(descriptor: int) -> str:
    return os.readlink(by_descriptor(descriptor))


def _mount_id(descriptor: int) -> int:
    with open(f"/proc/self/fdinfo/{descriptor}", "rb") as file:
        return next(int(line.split()[1]) for line in file if line.startswith(b"mnt_id:"))


def _is_whiteout(path: str) -> bool:
    try:
        status = os.lstat(path)
    except OSError:
        return False
    return stat.S_ISCHR(status.st_mode) and status.st_rdev == 0
