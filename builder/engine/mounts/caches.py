"""Cache mounts: directories that outlive the build (Dockerfile reference, "RUN --mount=type=cache")."""

from __future__ import annotations

import hashlib
import os
import posixpath
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from builder.dockerfile.syntax import Mount
from builder.engine.mounts.source_directory import directory_of
from builder.errors import StorageError
from builder.layer.paths import inside
from builder.rootfs.directory import Ownership
from builder.rootfs.disk_tree import DiskTree
from builder.rootfs.tree import SourceTree
from builder.storage.failure import explained
from builder.storage.locks import exclusive, shared, try_exclusive

_MOST_PRIVATE = 1000
_OWN = "cache"


class CacheMounts:
    """The cache mounts below `directory`; builds that give files other owners (`flavour`) have others.

    Each is a directory ``<flavour>/<name>/root`` beside a file ``<name>.lock``, whose mtime says when it was last used.

    Safe for any number of builds at once: ``shared`` caches are used side by side, ``locked`` ones one after another,
    and of a ``private`` one every build that finds it in use gets another copy.
    """

    def __init__(self, directory: Path, ownership: Ownership, flavour: str) -> None:
        self._directory, self._ownership = directory / flavour, ownership

    @contextmanager
    def held(self, mount: Mount, initial: SourceTree) -> Iterator[Path | None]:
        """What to mount, for as long as the block lasts; None if there is nothing at the mount's ``source``.

        A new cache is filled from `initial`. Waits for a ``locked`` one. Raises StorageError, ContextError.
        """
        with explained("write", self._directory):
            self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        with self._locked(_key(mount), mount.sharing or "shared") as name:
            with suppress(OSError):
                os.utime(self._lock(name))
            with explained("write", self._directory):
                root = self._filled(self._directory / name, mount, initial)
            # Commands have written what is there, and a link of theirs must not lead out of it.
            found = DiskTree(str(root)).find(_source(mount))
            yield None if found.entry is None else root / found.path

    @contextmanager
    def _locked(self, key: str, sharing: str) -> Iterator[str]:
        """The name of a directory whose lock is held."""
        if sharing == "private":
            with self._private(key) as name:
                yield name
            return
        with shared(self._lock(key)) if sharing == "shared" else exclusive(self._lock(key)):
            yield key

    @contextmanager
    def _private(self, key: str) -> Iterator[str]:
        for number in range(_MOST_PRIVATE):
            name = f"{key}.{number}" if number else key
            with try_exclusive(self._lock(name)) as alone:
                if alone:
                    yield name
                    return
        raise StorageError(f"{_MOST_PRIVATE} commands use a private cache mount in {self._directory}")

    def _lock(self, name: str) -> Path:
        return self._directory / f"{name}.lock"

    def _filled(self, path: Path, mount: Mount, initial: SourceTree) -> Path:
        root = path / "root"
        if root.is_dir():
            return root
        unfinished = path.with_name(f".{path.name}-{os.getpid()}-{secrets.token_hex(4)}")
        try:
            made = directory_of(initial, "", unfinished, self._ownership)
            assert made is not None
            if not mount.from_:
                self._give(made, mount)
            elif _source(mount) == _OWN and not (made / _OWN).is_dir():
                (made / _OWN).mkdir()
                self._give(made / _OWN, mount)
            self._place(unfinished, path)
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)
        return root

    def _give(self, root: Path, mount: Mount) -> None:
        if self._ownership.owners:
            os.chown(root, int(mount.uid or 0), int(mount.gid or 0))
        os.chmod(root, int(mount.mode or "0755", 8))

    def _place(self, unfinished: Path, path: Path) -> None:
        try:
            unfinished.rename(path)
        except OSError:
            if not (path / "root").is_dir():  # else another build was faster
                raise


def _key(mount: Mount) -> str:
    """What tells caches from one another, as BuildKit: another owner or mode makes another one."""
    name = mount.id or posixpath.normpath(mount.target or ".")
    return hashlib.sha256(repr((name, mount.from_, _owner(mount))).encode()).hexdigest()[:32]


def _source(mount: Mount) -> str:
    """Which part of the cache is mounted. An image's files keep their owner: an own directory is made beside them."""
    source = inside(mount.source or "")
    return _OWN if mount.from_ and not source and any(_owner(mount)) else source


def _owner(mount: Mount) -> tuple[str | None, str | None, str | None]:
    return mount.uid, mount.gid, mount.mode
