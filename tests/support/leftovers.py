"""What a build must not leave behind: mounts, processes, locks, temporary files, half-finished uploads."""

from __future__ import annotations

import contextlib
import os
import stat
import time
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def nothing_left(state: Path, *places: Path, patience: float = 5) -> Iterator[None]:
    """AssertionError if the block leaves a mount, a process, a held lock or a temporary file behind.

    Args:
        state: the builder's state directory; ``places`` are further directories that it may have written to, which
            must hold the same names afterwards as before.
        patience: seconds that a process which was killed may take to go.
    """
    watched = [*places, Path("/tmp"), Path("/var/tmp"), Path("/dev/shm"), Path("/run")]
    mounts, names = _mounts(), {place: _names(place) for place in watched}
    yield
    _eventually_no_process(state, patience)
    assert _mounts() - mounts == set(), "mounts are left behind"
    assert held_locks(state) == [], "locks are still held"
    assert unfinished(state) == [], "unfinished files are left in the state directory"
    for place, before in names.items():
        own = {name for name in _names(place) - before if _suspect(place / name)}
        assert own == set(), f"new in {place}: {sorted(own)}"


def processes_using(directory: Path) -> list[str]:
    """The command lines of the living processes that have to do with `directory`.

    That is: it is in their command line, environment, working or root directory, they hold a file in it open, or their
    mount namespace has something of it mounted (as the sandbox of a command has).
    """
    found = []
    for process in Path("/proc").iterdir():
        if process.name.isdigit() and int(process.name) != os.getpid() and _uses(process, str(directory)):
            found.append(f"{process.name}: {_read(process / 'cmdline').replace(chr(0), ' ')}")
    return found


def processes_named(*command: str) -> list[int]:
    """The living processes with exactly this command line."""
    wanted = "".join(f"{argument}\0" for argument in command)
    processes = [process for process in Path("/proc").iterdir() if process.name.isdigit()]
    return [int(process.name) for process in processes if _read(process / "cmdline") == wanted]


def held_locks(directory: Path) -> list[str]:
    """The files below `directory` that some process holds a lock on (``/proc/locks``)."""
    inodes = set()
    for line in Path("/proc/locks").read_text().splitlines():
        major, minor, inode = line.split()[-3].split(":")
        inodes.add((int(major, 16), int(minor, 16), int(inode)))
    return [str(path) for path in _files(directory) if _identity(path) in inodes]


def unfinished(directory: Path) -> list[str]:
    """The files below the state directory whose names say that they were not meant to stay."""
    return [
        str(path)
        for path in _files(directory)
        if any(part in ("tmp", "temporary", "ingest") for part in path.relative_to(directory).parts[:-1])
        or path.name.startswith((".tmp", "tmp"))
        or path.name.endswith((".tmp", ".part", ".partial"))
    ]


def _eventually_no_process(directory: Path, patience: float) -> None:
    deadline = time.monotonic() + patience
    while left := processes_using(directory):
        assert time.monotonic() < deadline, f"processes are left behind: {left}"
        time.sleep(0.05)


def _uses(process: Path, directory: str) -> bool:
    if directory in _read(process / "cmdline") or directory in _read(process / "environ"):
        return True
    if _target(process / "ns/mnt") != os.readlink("/proc/self/ns/mnt") and directory in _read(process / "mountinfo"):
        return True
    with contextlib.suppress(OSError):
        links = [process / "cwd", process / "root", *(process / "fd").iterdir()]
        return any(_target(link).startswith(directory) for link in links)
    return False


def _target(link: Path) -> str:
    try:
        return os.readlink(link)
    except OSError:
        return ""


def _read(path: Path) -> str:
    try:
        return path.read_bytes().decode(errors="replace")
    except OSError:  # gone, or not ours to read
        return ""


def _mounts() -> set[str]:
    return {" ".join(line.split()[:3]) for line in Path("/proc/mounts").read_text().splitlines()}


def _names(place: Path) -> set[str]:
    return set(os.listdir(place)) if place.is_dir() else set()


def _suspect(path: Path) -> bool:
    """Other programs write to the shared directories too: only what is named for the builder is held against it."""
    shared = path.parent in (Path("/tmp"), Path("/var/tmp"), Path("/dev/shm"), Path("/run"))
    return not shared or path.name.lower().startswith(("builder-", "builder.", "builder_")) or path.name == "builder"


def _identity(path: Path) -> tuple[int, int, int]:
    try:
        found = path.lstat()
    except OSError:
        return (-1, -1, -1)
    return (os.major(found.st_dev), os.minor(found.st_dev), found.st_ino)


def _files(directory: Path) -> Iterator[Path]:
    """Every file that is not a directory below `directory`, the inside of unpacked layers left out."""
    for folder, folders, names in os.walk(directory):
        if "etc" in folders and "bin" in [*folders, *names]:  # a root filesystem, not the builder's own files
            folders.clear()
            continue
        for name in names:
            with contextlib.suppress(OSError):
                if stat.S_ISREG((path := Path(folder) / name).lstat().st_mode):
                    yield path
