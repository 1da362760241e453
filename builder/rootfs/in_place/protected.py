"""What an in-place build leaves alone."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator

from builder.layer.paths import join, parents
from builder.linux import mountinfo

_ALWAYS = ("proc", "sys", "dev")
_MOST_LINKS = 40


class ProtectedPaths:
    """Paths that are never written, moved or removed, with all below them. All are relative to the root.

    Attributes:
        paths: the protected ones, without those that are below another.
        above: the directories on the way to them, which stay where they are.
        mounts: those of `paths` that are mount points.
        named: what was named by its own path, not for being a mount.
    """

    def __init__(self, paths: Iterable[str], mounts: Iterable[str] = ()) -> None:
        mounts = frozenset(mounts)
        self.named = frozenset(each for each in paths if each)
        given = {each for each in (*self.named, *mounts) if each}
        self.paths = frozenset(each for each in given if not any(parent in given for parent in parents(each)))
        self.above = frozenset(parent for each in self.paths for parent in parents(each))
        self.mounts = mounts & self.paths

    def covers(self, path: str) -> bool:
        """Whether `path` is protected, itself or by a directory that it is in."""
        return self.covering(path) is not None

    def covering(self, path: str) -> str | None:
        """The protected path that `path` is, or is below."""
        if path in self.paths:
            return path
        return next((parent for parent in parents(path) if parent in self.paths), None)

    def is_named_below(self, path: str) -> bool:
        """Whether something was named that is `path`, or in it."""
        return path in self.named or any(each.startswith(f"{path}/") for each in self.named)

    def joined(self, paths: Iterable[str]) -> ProtectedPaths:
        """These and others."""
        return ProtectedPaths((*self.paths, *paths), self.mounts)


def of_container(named: Iterable[str | os.PathLike[str]]) -> ProtectedPaths:
    """What is to be protected in the container of this process: mounts, kernel filesystems, and `named` paths.

    A named path need not exist. Where a symlink leads to it, the link is protected, too.
    """
    paths = {*_ALWAYS}
    for name in named:
        paths.update(_with_links(os.path.abspath(name)))
    return ProtectedPaths(paths, (mount.target.strip("/") for mount in mountinfo.read()))


def _with_links(path: str) -> Iterator[str]:
    """The path without symlinks, and each symlink on the way, relative to the root."""
    done, todo, links = "", [part for part in reversed(path.split("/")) if part], 0
    while todo:
        name = todo.pop()
        if name in (".", ".."):
            done = done if name == "." else os.path.dirname(done)
            continue
        here = join(done, name)
        if not os.path.islink(f"/{here}") or links >= _MOST_LINKS:
            done = here
            continue
        links += 1
        yield here
        target = os.readlink(f"/{here}")
        if target.startswith("/"):
            done = ""
        todo.extend(part for part in reversed(target.split("/")) if part)
    if done:
        yield done
