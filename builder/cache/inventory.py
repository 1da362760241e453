"""What the state directory holds: blobs, unpacked layers, the local cache's records, cache mounts, temporary files.

When something was last used is an mtime: of a layer's directory and of a cache mount's lock file, which are touched at
each use; of a cached layer's record, likewise; else of the file itself. What was touched since the oldest running build
began may be in use.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from builder.cache.record import Record
from builder.digest import Digest
from builder.errors import BuilderError
from builder.storage.locks import exclusive, try_exclusive

Kind = Literal["blobs", "layers", "records", "mounts", "scratch"]
KINDS: tuple[Kind, ...] = ("blobs", "layers", "records", "mounts", "scratch")
BUILDS, STARTED = "builds", "started"
_INPUTS = ".inputs.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """Something that can be removed by itself.

    Attributes:
        path: a file or directory.
        stamps: whose mtimes tell when it was last used.
        records: of the local cache, which make no sense without it.
        size: bytes that it takes on the disk, `records` included.
        last_used: seconds since the epoch.
        in_use: a running build may use it.
    """

    kind: Kind
    path: Path
    stamps: tuple[Path, ...]
    records: tuple[Path, ...] = ()
    size: int
    last_used: float
    in_use: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Inventory:
    """All that was found.

    Attributes:
        since: what was used at or after this time may be in use, in seconds since the epoch.
    """

    items: tuple[Item, ...]
    since: float


def take_inventory(state: Path, now: float) -> Inventory:
    """Look at everything in the state directory `state`; what vanishes meanwhile is left out. Raises StorageError.

    Args:
        now: the time by the clock that file times are made with.
    """
    running, abandoned = _builds(state / BUILDS)
    since = min([now, *running.values()])
    if any(start > now for start in running.values()):
        since = 0.0  # the clock was put back: nothing is known of what is in use
    sizes = _Sizes()
    items = [
        *_blobs(state, since, sizes),
        *_layers(state / "layers", since, sizes),
        *_notes(state / "cache", since, sizes),
        *_mounts(state / "mounts", sizes),
        *_scratch(state, running, abandoned, since, sizes),
    ]
    return Inventory(items=tuple(items), since=since)


def last_used(stamps: Iterable[Path]) -> float:
    """The latest mtime of `stamps`, 0 if there is none of them any more."""
    found = [0.0]
    for stamp in stamps:
        with suppress(OSError):
            found.append(os.lstat(stamp).st_mtime)
    return max(found)


class _Sizes:
    """Sizes on the disk; a file with several names counts once."""

    def __init__(self) -> None:
        self._seen: set[tuple[int, int]] = set()

    def of(self, *paths: Path) -> int:
        return sum(self._one(path) for path in paths)

    def _one(self, path: Path) -> int:
        total = self._own(path)
        for folder, folders, names in os.walk(path):
            total += sum(self._own(Path(folder, name)) for name in (*folders, *names))
        return total

    def _own(self, path: Path) -> int:
        try:
            status = os.lstat(path)
        except OSError:
            return 0
        if status.st_nlink > 1 and not os.path.isdir(path):
            if (status.st_dev, status.st_ino) in self._seen:
                return 0
            self._seen.add((status.st_dev, status.st_ino))
        return status.st_blocks * 512


def _builds(directory: Path) -> tuple[dict[Path, float], list[Path]]:
    """The running builds' scratch directories with when they began, and those of builds that were killed."""
    running: dict[Path, float] = {}
    abandoned: list[Path] = []
    if not directory.is_dir():
        return running, abandoned
    with exclusive(directory):  # no build is half-way through taking its lock now
        for scratch in _entries(directory):
            with suppress(BuilderError), try_exclusive(scratch) as alone:
                if alone:
                    abandoned.append(scratch)
                else:
                    running[scratch] = last_used([scratch / STARTED])
    return running, abandoned


def _blobs(state: Path, since: float, sizes: _Sizes) -> Iterator[Item]:
    """Blobs with the records that need them, and records whose blob is gone."""
    wanted: dict[Digest, list[Path]] = {}
    broken: list[Path] = []
    for path in _files(state / "cache" / "layers"):
        if path.name.endswith(_INPUTS):
            continue
        digest = _blob_of(path)
        if digest is None or not (state / "blobs" / digest.algorithm / digest.hex).exists():
            broken.append(path)
        else:
            wanted.setdefault(digest, []).append(path)
    for path in _files(state / "blobs"):
        records = tuple(wanted.get(Digest(path.parent.name, path.name), ()))
        yield _item("blobs", path, since, sizes, stamps=(path, *records), records=records)
    for path in broken:
        yield _item("records", path, since, sizes)


def _blob_of(record: Path) -> Digest | None:
    try:
        found = Record.from_json(record.read_bytes())
    except (OSError, BuilderError):
        return None
    return found.layer.digest if found else None


def _layers(directory: Path, since: float, sizes: _Sizes) -> Iterator[Item]:
    for path in _entries(directory):
        if path.is_dir():
            yield _item("layers", path, since, sizes)


def _notes(directory: Path, since: float, sizes: _Sizes) -> Iterator[Item]:
    """What is kept besides the records, and can be made again: what keys were made from, and digests of files."""
    for path in _files(directory):
        if path != directory / "lock" and (path.name.endswith(_INPUTS) or path.parent.parent != directory / "layers"):
            yield _item("records", path, since, sizes)


def _mounts(directory: Path, sizes: _Sizes) -> Iterator[Item]:
    for flavour in _entries(directory):
        for path in _entries(flavour):
            if path.is_dir():
                lock = path.with_name(f"{path.name}.lock")
                yield Item(
                    kind="mounts",
                    path=path,
                    stamps=(lock,),
                    size=sizes.of(path),
                    last_used=last_used([lock, path]),
                    in_use=_is_locked(lock),
                )


def _is_locked(lock: Path) -> bool:
    if not lock.exists():
        return False
    with try_exclusive(lock) as alone:
        return not alone


def _scratch(
    state: Path, running: dict[Path, float], abandoned: list[Path], since: float, sizes: _Sizes
) -> Iterator[Item]:
    for path in running:
        yield Item(kind="scratch", path=path, stamps=(), size=sizes.of(path), last_used=last_used([path]), in_use=True)
    for path in abandoned:
        yield Item(kind="scratch", path=path, stamps=(), size=sizes.of(path), last_used=last_used([path]), in_use=False)
    for path in (*_entries(state / "ingest"), *_entries(state / "tmp")):
        yield _item("scratch", path, since, sizes)


def _item(
    kind: Kind,
    path: Path,
    since: float,
    sizes: _Sizes,
    *,
    stamps: tuple[Path, ...] = (),
    records: tuple[Path, ...] = (),
) -> Item:
    stamps = stamps or (path,)
    used = last_used(stamps)
    return Item(
        kind=kind,
        path=path,
        stamps=stamps,
        records=records,
        size=sizes.of(path, *records),
        last_used=used,
        in_use=used >= since,
    )


def _files(directory: Path) -> Iterator[Path]:
    for folder, _, names in os.walk(directory):
        yield from (Path(folder, name) for name in sorted(names))


def _entries(directory: Path) -> list[Path]:
    try:
        return sorted(directory.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []
