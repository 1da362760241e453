"""Removing from the state directory what is not needed, beside builds that are running.

What a build may use is left alone: it has touched it after it began, under the lock that is held here while the time is
looked at once more and the thing is moved away. Files are removed afterwards, without any lock.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from builder.cache.inventory import Inventory, Item, Kind, last_used, take_inventory
from builder.errors import BuilderError
from builder.progress import Progress, log
from builder.storage.failure import explained
from builder.storage.locks import exclusive, try_exclusive

DEFAULT_AGE = 7 * 86400.0
_TEMPORARY_AGE = 86400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What is to go; what running builds use never does.

    Attributes:
        everything: all of it.
        keep: as much as brings the rest down to so many bytes, what was used least recently first; None for no limit.
        older_than: of this, only what was not used for so many seconds; None for all of it. Without any of the three
            it is what was not used for a week.
    """

    everything: bool = False
    keep: int | None = None
    older_than: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Collected:
    """What was removed: how many things, and the bytes that they took."""

    count: int
    size: int


def collect(state: Path, scratch: Path, policy: Policy, now: float, progress: Progress) -> Collected:
    """Remove from the state directory what `policy` says, and whatever killed builds have left.

    Args:
        scratch: a directory on the same filesystem, that the caller holds and removes.
        now: the time, by the clock that file times are made with.

    Raises StorageError if the directory cannot be read; what cannot be removed costs a warning.
    """
    inventory = take_inventory(state, now)
    remover = _Remover(state, scratch, inventory.since)
    count = size = 0
    for item in _chosen(inventory, policy, now):
        try:
            if remover.remove(item):
                count, size = count + 1, size + item.size
                log(progress, "debug", f"removed {item.path}")
        except BuilderError as error:
            log(progress, "warning", error.message)
    return Collected(count=count, size=size)


def _chosen(inventory: Inventory, policy: Policy, now: float) -> Iterator[Item]:
    """What is to go, in this order."""
    rest: list[Item] = []
    for item in inventory.items:
        if item.in_use:
            continue
        if item.kind == "scratch":
            if item.path.parent.name != "tmp" or now - item.last_used > _TEMPORARY_AGE:
                yield item
        else:
            rest.append(item)
    age = policy.older_than
    if age is None and not policy.everything and policy.keep is None:
        age = DEFAULT_AGE
    old = [item for item in rest if age is None or now - item.last_used >= age]
    left = sum(item.size for item in inventory.items if item.kind != "scratch")
    for item in sorted(old, key=lambda each: each.last_used):
        if policy.keep is not None and left <= policy.keep:
            return
        left -= item.size
        yield item


class _Remover:
    """Removes items that are still unused.

    Args:
        since: what was touched since is in use.
    """

    def __init__(self, state: Path, scratch: Path, since: float) -> None:
        self._state, self._scratch, self._since = state, scratch, since
        self._count = 0

    def remove(self, item: Item) -> bool:
        """Whether it was removed. Raises StorageError."""
        held: dict[Kind, Callable[[Item], AbstractContextManager[bool]]] = {
            "blobs": self._of_cache,
            "records": self._of_cache,
            "layers": self._of_layers,
            "mounts": self._of_mount,
            "scratch": self._of_build,
        }
        with held[item.kind](item) as unused:
            if not unused:
                return False
            # a record that points nowhere is worse than a blob that nobody knows
            for record in item.records:
                self._unlink(record)
            trash = self._moved(item.path)
            if item.kind == "blobs" and last_used((trash,)) >= self._since:
                self._put_back(trash, item.path)
                return False
            if item.kind == "mounts":
                self._unlink(item.path.with_name(f"{item.path.name}.lock"))
        _remove_tree(trash)
        return True

    @contextmanager
    def _of_cache(self, item: Item) -> Iterator[bool]:
        with exclusive(self._state / "cache" / "lock"):
            yield last_used(item.stamps) < self._since

    @contextmanager
    def _of_layers(self, item: Item) -> Iterator[bool]:
        with exclusive(self._state / "layers" / "lock"):
            yield last_used(item.stamps) < self._since

    @contextmanager
    def _of_mount(self, item: Item) -> Iterator[bool]:
        with try_exclusive(item.path.with_name(f"{item.path.name}.lock")) as alone:
            yield alone

    @contextmanager
    def _of_build(self, item: Item) -> Iterator[bool]:
        if not item.path.is_dir():
            yield last_used(item.stamps or (item.path,)) < self._since
            return
        with try_exclusive(item.path) as alone:
            yield alone

    def _moved(self, path: Path) -> Path:
        """Where `path` is now that nobody else finds it."""
        self._count += 1
        trash = self._scratch / f"removed-{self._count}"
        with explained("remove", path), suppress(FileNotFoundError):
            os.rename(path, trash)
        return trash

    def _put_back(self, trash: Path, path: Path) -> None:
        """A build has written the very same blob a moment ago."""
        with explained("write", path):
            os.rename(trash, path)

    def _unlink(self, path: Path) -> None:
        with explained("remove", path):
            path.unlink(missing_ok=True)


def _remove_tree(path: Path) -> None:
    if not path.is_dir() or path.is_symlink():
        with explained("remove", path):
            path.unlink(missing_ok=True)
        return
    shutil.rmtree(path, onerror=_retry)
    if path.exists():
        with explained("remove", path):
            shutil.rmtree(path)


def _retry(_: object, path: str, __: object) -> None:
    """Once more, with the directories made writable: nobody but root can do without that."""
    with suppress(OSError):
        os.chmod(os.path.dirname(path), 0o700)
        if os.path.isdir(path) and not os.path.islink(path):
            os.chmod(path, 0o700)
            shutil.rmtree(path, ignore_errors=True)
        else:
            os.unlink(path)
