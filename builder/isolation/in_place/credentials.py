"""Credentials kept from commands that run in the builder's own container."""

from __future__ import annotations

import errno
import json
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Protocol

from builder.errors import StorageError
from builder.isolation.in_place.keeper import Kept, is_running, put_back

_NOTE = ".note"
_PATIENCE, _PAUSE = 10.0, 0.02
"""Seconds that the keeper of a killed build is waited for."""


class Keeps(Protocol):
    """Who puts files back if this process cannot: a Keeper."""

    @property
    def pid(self) -> int: ...

    def keep(self, files: Sequence[Kept]) -> None: ...


class HiddenFiles:
    """Files that are out of the way while commands run.

    Their content is held in memory alone. Each file is moved into the directory `home` and blanked there, so that there
    is room for its content on disk whatever commands do; a note says where it belongs and who else holds the content.

    Args:
        files: which, if they are there.
        warn: told once of a file that cannot be moved.
    """

    def __init__(self, files: Sequence[Path], home: Path, keeper: Keeps, warn: Callable[[str], None]) -> None:
        self._files, self._home, self._keeper, self._warn = files, home, keeper, warn
        self._lock = threading.Lock()
        self._warned: set[Path] = set()
        self._kept: list[Kept] = []

    @contextmanager
    def hidden(self) -> Iterator[None]:
        """Have the files out of the way while the block lasts. Raises StorageError if one cannot be put back."""
        with self._lock:
            try:
                for number, file in enumerate(self._files):
                    self._hide(file, self._home / str(number))
                yield
            finally:
                self._put_back()

    def _hide(self, file: Path, stored: Path) -> None:
        if not file.is_file():
            return
        self._home.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            status = os.stat(file)
            times = status.st_atime_ns, status.st_mtime_ns
            kept = Kept(str(file), str(stored), f"{stored}{_NOTE}", file.read_bytes(), times)
            Path(kept.note).write_text(json.dumps({"path": kept.path, "keeper": self._keeper.pid}))
            with suppress(OSError):  # a command may have killed it; then this process alone can put the file back
                self._keeper.keep([*self._kept, kept])
            self._kept.append(kept)
            os.rename(file, stored)
            with open(stored, "r+b") as blanked:
                blanked.write(bytes(len(kept.content)))
        except OSError as error:
            if file not in self._warned:
                self._warned.add(file)
                self._warn(
                    f"commands of the Dockerfile can read {file}: it cannot be moved away "
                    f"({_REASONS.get(error.errno or 0, error.strerror)})"
                )

    def _put_back(self) -> None:
        kept, self._kept = self._kept, []
        try:
            for file in kept:
                put_back(file)
        except OSError as error:
            raise StorageError(f"cannot put back {error.filename}: {error.strerror}") from error
        with suppress(OSError):
            self._keeper.keep(())
        with suppress(OSError):
            self._home.rmdir()


_REASONS = {errno.EBUSY: "it is a mount", errno.EROFS: "it is mounted read-only", errno.EXDEV: "it is on a mount"}


def recover(home: Path) -> list[str]:
    """Wait until the files that a killed process had moved into `home` are back.

    Returns those of which the content is lost, because whoever held it was killed, too. Raises StorageError.
    """
    try:
        lost = [path for note in sorted(home.glob(f"*{_NOTE}")) if (path := _recovered(note))]
        with suppress(OSError):
            home.rmdir()
        return lost
    except OSError as error:
        raise StorageError(f"cannot put back {error.filename}: {error.strerror}") from error


def _recovered(note: Path) -> str | None:
    try:
        said = json.loads(note.read_bytes())
    except FileNotFoundError:
        return None
    except ValueError:
        said = None  # it was being written, and nothing moved
    stored = note.with_suffix("")
    deadline = time.monotonic() + _PATIENCE
    while said and note.exists() and is_running(said["keeper"]) and time.monotonic() < deadline:
        time.sleep(_PAUSE)
    if not note.exists():
        return None
    lost = None
    if said and stored.exists():
        if stored.read_bytes().strip(b"\0"):
            os.rename(stored, said["path"])
        else:
            stored.unlink()
            lost = said["path"]
    note.unlink()
    return lost


def exposed_in(secrets: Sequence[str]) -> list[str]:
    """Other processes of the container in whose environment commands can read one of `secrets`: ``sh (process 1)``."""
    values = [os.fsencode(secret) for secret in secrets]
    found = []
    for name in os.listdir("/proc") if values else ():
        if not name.isdigit() or int(name) == os.getpid():
            continue
        with suppress(OSError):
            environment = Path(f"/proc/{name}/environ").read_bytes()
            if any(value in environment for value in values):
                program = Path(f"/proc/{name}/comm").read_text(encoding="utf-8", errors="replace").strip()
                found.append(f"{program} (process {name})")
    return found
