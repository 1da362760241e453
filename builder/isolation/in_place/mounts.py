"""RUN --mount without mounts: files are put in place for the time of a command, and taken away again."""

from __future__ import annotations

import errno
import os
import shutil
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from builder.errors import IsolationError
from builder.isolation.advice import isolation_error
from builder.isolation.command import Bind, SecretFile, Tmpfs
from builder.isolation.in_place.memory import linked
from builder.isolation.sandbox.targets import Root

_LOANS = "mounts"


class EmulatedMounts:
    """Puts files into the root directory `root` of commands and takes them away.

    Args:
        own: the builder's directories: what is bound from there is moved, and moved back; anything else is copied.
        scratch: an empty directory for what is in the way, on the root's filesystem.
        is_protected: whether a path of the root belongs to the container.
    """

    def __init__(
        self, own: Sequence[Path], scratch: Path, is_protected: Callable[[str], bool], root: str = "/."
    ) -> None:
        self._own, self._scratch, self._is_protected = own, scratch, is_protected
        self._root = root
        self._count = 0

    @contextmanager
    def made(self, wishes: Sequence[Bind | Tmpfs | SecretFile]) -> Iterator[tuple[SecretFile, ...]]:
        """Have `wishes` in place while the block lasts. Raises IsolationError.

        What is given back is still to be written, for the time of the command alone: secrets, at their very targets.
        """
        stack = ExitStack()
        unwritten: list[SecretFile] = []
        try:
            for wish in wishes:
                try:
                    self._make(wish, stack, unwritten)
                except OSError as error:
                    raise isolation_error(error, f"cannot make the mount {wish.target}") from error
            yield tuple(unwritten)
        finally:
            try:
                stack.close()
            except OSError as error:
                raise isolation_error(error, "cannot take a mount away") from error

    def _make(self, wish: Bind | Tmpfs | SecretFile, stack: ExitStack, unwritten: list[SecretFile]) -> None:
        root = Root(self._root)
        stack.callback(os.close, root.descriptor)
        parent, name = os.path.split(os.path.normpath("/" + wish.target.lstrip("/")))
        directory = root.open(parent, "directory")
        try:
            place = f"{_path_of(directory)}/{name}"
        finally:
            os.close(directory)
        for stub in root.stubs:
            stack.callback(_remove_stub, f"{self._root}/{stub.path}", stub.parent_times)
        place = os.path.join(self._root, os.path.relpath(place, os.path.realpath(self._root)))
        place = self._resolved(root, place, parent, name)
        path = os.path.relpath(place, self._root)
        if self._is_protected(path) and not path.startswith("dev/"):
            raise IsolationError(
                f"cannot mount on /{path}: it belongs to the container that the build runs in",
                hint="choose another target, or build with --isolation=namespace",
            )
        self._set_aside(place, stack)
        if isinstance(wish, SecretFile):
            unwritten.append(linked(wish, place, stack, new_parent=bool(root.stubs)))
        else:
            self._put(wish, place, stack)

    def _resolved(self, root: Root, place: str, parent: str, name: str) -> str:
        """Where `place` leads if it is a symlink."""
        if not os.path.islink(place):
            return place
        try:
            found = root.open(f"{parent}/{name}")
        except FileNotFoundError:
            raise IsolationError(f"cannot mount on {parent}/{name}: it is a symlink to nothing") from None
        try:
            return os.path.join(self._root, os.path.relpath(_path_of(found), os.path.realpath(self._root)))
        finally:
            os.close(found)

    def _set_aside(self, place: str, stack: ExitStack) -> None:
        """Move what is at `place` away until the end, when the times of its directory are restored, too."""
        parent = os.path.dirname(place)
        before = os.stat(parent)
        stack.callback(_restore_times, parent, before)
        if not os.path.lexists(place):
            return
        self._count += 1
        aside = self._scratch / f"{_LOANS}-{os.getpid()}-{self._count}"
        try:
            os.rename(place, aside)
        except OSError as error:
            if error.errno not in (errno.EXDEV, errno.EBUSY):
                raise
            raise IsolationError(
                f"cannot mount on {place.removeprefix(self._root)}: what is there cannot be moved away",
                hint="choose a target that does not exist, or build with --isolation=namespace",
            ) from None
        stack.callback(os.rename, aside, place)

    def _put(self, wish: Bind | Tmpfs, place: str, stack: ExitStack) -> None:
        stack.callback(_remove, place)
        if isinstance(wish, Tmpfs):
            os.mkdir(place)
            os.chmod(place, wish.mode)
        elif self._is_own(wish.source):
            self._lend(wish.source, place, stack)
        else:
            _copy(wish.source, place)

    def _is_own(self, source: str) -> bool:
        return any(Path(source).is_relative_to(each) for each in self._own)

    def _lend(self, source: str, place: str, stack: ExitStack) -> None:
        if not os.path.lexists(source):  # lent to a build that was killed
            os.mkdir(source)
        try:
            os.rename(source, place)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            _copy(source, place)
            stack.callback(_bring_back, place, source)
            return
        stack.callback(_give_back, place, source)


def _restore_times(directory: str, before: os.stat_result) -> None:
    with suppress(FileNotFoundError):  # it was in memory
        os.utime(directory, ns=(before.st_atime_ns, before.st_mtime_ns))


def _path_of(descriptor: int) -> str:
    return os.readlink(f"/proc/self/fd/{descriptor}")


def _copy(source: str, place: str) -> None:
    """Copy with owners, modes and times, which a bind mount would show; sockets are left out."""
    if not os.path.isdir(source) or os.path.islink(source):
        _copy_one(source, place)
        return
    os.mkdir(place)
    for name in os.listdir(source):
        _copy(f"{source}/{name}", f"{place}/{name}")
    _copy_attributes(place, os.stat(source))


def _copy_one(source: str, place: str) -> None:
    status = os.lstat(source)
    if stat.S_ISLNK(status.st_mode):
        os.symlink(os.readlink(source), place)
    elif stat.S_ISREG(status.st_mode):
        shutil.copyfile(source, place)
    elif stat.S_ISFIFO(status.st_mode):
        os.mkfifo(place)
    else:
        return
    _copy_attributes(place, status)


def _copy_attributes(place: str, status: os.stat_result) -> None:
    os.chown(place, status.st_uid, status.st_gid, follow_symlinks=False)
    if not stat.S_ISLNK(status.st_mode):
        os.chmod(place, stat.S_IMODE(status.st_mode))
    os.utime(place, ns=(status.st_atime_ns, status.st_mtime_ns), follow_symlinks=False)


def _give_back(place: str, source: str) -> None:
    try:
        os.rename(place, source)
    except FileNotFoundError:  # the command has removed it, which it could not do with a mount
        os.mkdir(source)


def _bring_back(place: str, source: str) -> None:
    """Replace `source` by what has become of its copy."""
    if not os.path.lexists(place):
        return
    unfinished = f"{source}.new"
    _remove(unfinished)
    _copy(place, unfinished)
    _remove(source)
    os.rename(unfinished, source)


def _remove(place: str) -> None:
    if os.path.isdir(place) and not os.path.islink(place):
        shutil.rmtree(place)
    else:
        with suppress(FileNotFoundError):
            os.unlink(place)


def _remove_stub(place: str, parent_times: tuple[int, int]) -> None:
    """Remove a directory that was made for a mount unless something was put into it."""
    with suppress(OSError):
        os.rmdir(place)
        os.utime(os.path.dirname(place), ns=parent_times)
