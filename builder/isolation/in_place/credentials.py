"""Credentials kept from commands that run in the builder's own container."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from builder.errors import StorageError

_PLACE = ".place"


class HiddenFiles:
    """Files that are out of the way while commands run.

    Each is moved into the directory `home`, with a note of where it belongs, so that `recover` can put it back even
    after a SIGKILL. Root can find it there if it looks; nobody else can.

    Args:
        files: which, if they are there.
        warn: told once of a file that cannot be moved.
    """

    def __init__(self, files: Sequence[Path], home: Path, warn: Callable[[str], None]) -> None:
        self._files, self._home, self._warn = files, home, warn
        self._lock = threading.Lock()
        self._warned: set[Path] = set()

    @contextmanager
    def hidden(self) -> Iterator[None]:
        """Have the files out of the way while the block lasts."""
        with self._lock:
            try:
                for file in self._files:
                    self._hide(file)
                yield
            finally:
                recover(self._home)

    def _hide(self, file: Path) -> None:
        if not file.is_file():
            return
        self._home.mkdir(mode=0o700, parents=True, exist_ok=True)
        place = self._home / f"{len(os.listdir(self._home))}{_PLACE}"
        try:
            place.write_bytes(os.fsencode(file))
            os.rename(file, place.with_suffix(""))
        except OSError as error:
            place.unlink(missing_ok=True)
            if file not in self._warned:
                self._warned.add(file)
                self._warn(
                    f"commands of the Dockerfile can read {file}: it cannot be moved away "
                    f"({_REASONS.get(error.errno or 0, error.strerror)})"
                )


_REASONS = {errno.EBUSY: "it is a mount", errno.EROFS: "it is mounted read-only", errno.EXDEV: "it is on a mount"}


def recover(home: Path) -> None:
    """Put files back that were moved into `home`. Raises StorageError."""
    try:
        places = sorted(home.glob(f"*{_PLACE}"), reverse=True)
        for place in places:
            with suppress(FileNotFoundError):  # it was about to be moved
                os.rename(place.with_suffix(""), os.fsdecode(place.read_bytes()))
            place.unlink()
        with suppress(OSError):
            home.rmdir()
    except OSError as error:
        raise StorageError(f"cannot put back {error.filename}: {error.strerror}") from error


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
