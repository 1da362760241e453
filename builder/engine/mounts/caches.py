"""Cache mounts: directories that outlive the build (Dockerfile reference, "RUN --mount=type=cache")."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from builder.dockerfile.syntax import Mount
from builder.engine.mounts.source_directory import directory_of
from builder.layer.paths import inside
from builder.rootfs.directory import Ownership
from builder.rootfs.tree import SourceTree
from builder.storage.failure import explained

_MOST_PRIVATE = 1000


class CacheMounts:
    """The cache mounts below `directory`; builds that give files other owners (`flavour`) have others.

    Safe for any number of builds at once: ``shared`` caches are used side by side, ``locked`` ones one after another,
    and of a ``private`` one every build that finds it in use gets another copy.
    """

    def __init__(self, directory: Path, ownership: Ownership, flavour: str) -> None:
        self._directory, self._ownership = directory / flavour, ownership

    @contextmanager
    def held(self, mount: Mount, target: str, initial: SourceTree) -> Iterator[Path]:
        """The directory, or what ``source`` names below it, for as long as the block lasts.

        A new one is filled from `initial`. Waits for a ``locked`` one. Raises StorageError.
        """
        key = hashlib.sha256(repr((mount.id or target, mount.from_)).encode()).hexdigest()[:32]
        with explained("write", self._directory):
            self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            name, lock = self._locked(key, mount.sharing or "shared")
        try:
            with explained("write", self._directory):
                root = self._filled(self._directory / name, mount, initial)
            yield root / inside(mount.source or "")
        finally:
            os.close(lock)

    def _locked(self, key: str, sharing: str) -> tuple[str, int]:
        """The name of a directory, and a descriptor that holds its lock until it is closed."""
        if sharing != "private":
            lock = self._open_lock(key)
            fcntl.flock(lock, fcntl.LOCK_SH if sharing == "shared" else fcntl.LOCK_EX)
            return key, lock
        for number in range(_MOST_PRIVATE):
            name = f"{key}.{number}" if number else key
            lock = self._open_lock(name)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return name, lock
            except BlockingIOError:
                os.close(lock)
        raise OSError(f"{_MOST_PRIVATE} builds use this cache")

    def _open_lock(self, name: str) -> int:
        return os.open(self._directory / f"{name}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def _filled(self, path: Path, mount: Mount, initial: SourceTree) -> Path:
        if path.is_dir():
            return path / "root"
        unfinished = path.with_name(f".{path.name}-{os.getpid()}")
        shutil.rmtree(unfinished, ignore_errors=True)
        root = directory_of(initial, "", unfinished, self._ownership)
        assert root is not None
        if self._ownership.owners:
            os.chown(root, int(mount.uid or 0), int(mount.gid or 0))
        os.chmod(root, int(mount.mode or "0755", 8))
        try:
            unfinished.rename(path)
        except OSError:
            shutil.rmtree(unfinished, ignore_errors=True)  # another build was faster
            if not path.is_dir():
                raise
        return path / "root"
