"""The RootFs: a stage's root filesystem as real files, made when something must run on it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from builder.layer.changes import Changes
from builder.rootfs.tree import FileTree


@dataclass(frozen=True, slots=True, kw_only=True)
class OverlayDirectories:
    """What an overlay is mounted from: absolute directories, the topmost of `lowers` first."""

    lowers: tuple[str, ...]
    upper: str
    work: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PlainDirectory:
    """A directory that is the root itself."""

    path: str


class RootFs(Protocol):
    """A root filesystem on disk, for one stage. Not thread-safe.

    The calls of one command: `prepare`, the command, then `snapshot`. What `snapshot` returned has its bytes in files
    that the next command may change if `frozen` is false: its layer must be written before that.
    """

    @property
    def frozen(self) -> bool: ...

    def add(self, changes: Changes) -> None:
        """Take over what an instruction that runs nothing changed; parents are in `changes`. Written by `prepare`."""
        ...

    def prepare(self) -> OverlayDirectories | PlainDirectory:
        """Bring the files up to date and say where a command is to run. Raises StorageError."""
        ...

    def snapshot(self, tree: FileTree) -> Changes:
        """What the command changed since `prepare`, `tree` being what was there then; parents are included.

        Files that are the same as before are not in it, nor directories of which only the times changed.
        """
        ...

    def fork(self, tree: FileTree, *, last: bool = False) -> RootFs:
        """A RootFs of its own with the same files, for a stage FROM this one; `tree` describes them.

        Args:
            last: nobody else needs this stage's files from now on, so that the fork may take them instead of a copy.
        """
        ...

    def close(self) -> None:
        """Remove what is on disk. Idempotent. Contents of entries that came out of it are gone then."""
        ...
