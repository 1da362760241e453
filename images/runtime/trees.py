"""Copying directories: only what is wanted, compiled, and the same each time."""

from __future__ import annotations

import compileall
import os
import py_compile
import shutil
from collections.abc import Iterable
from fnmatch import fnmatch
from pathlib import Path

_SINCE = 0  # the time of every file, in seconds since the epoch, so that the same sources make the same layer


def copy_tree(source: Path, target: Path, unwanted: Iterable[str]) -> None:
    """Copy a directory, links followed, without what matches a pattern of `unwanted`.

    Args:
        unwanted: patterns of a name, or of a path below `source` if they hold a ``/``.
    """
    patterns = tuple(unwanted)

    def skip(directory: str, names: list[str]) -> set[str]:
        below = Path(directory).relative_to(source)
        return {name for name in names if _matches(below / name, patterns)}

    shutil.copytree(source, target, ignore=skip, ignore_dangling_symlinks=True, dirs_exist_ok=True)


def _matches(path: Path, patterns: Iterable[str]) -> bool:
    return any(fnmatch(str(path) if "/" in pattern else path.name, pattern) for pattern in patterns)


def compile_tree(directory: Path, shown_as: str) -> None:
    """Replace every module by its byte code, which is not checked against a source when it is loaded.

    Args:
        shown_as: what `directory` is called in tracebacks.
    """
    done = compileall.compile_dir(
        directory,
        quiet=1,
        legacy=True,
        force=True,
        stripdir=str(directory),
        prependdir=shown_as,
        invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
    )
    if not done:
        raise RuntimeError(f"not all of {directory} can be compiled")
    for source in directory.rglob("*.py"):
        source.unlink()


def every_file(directory: Path) -> list[Path]:
    return sorted(path for path in directory.rglob("*") if path.is_file() and not path.is_symlink())


def settle(directory: Path) -> None:
    """Give every file of the image its mode and time: readable by all, writable by root alone."""
    for path in [directory, *directory.rglob("*")]:
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)
        os.utime(path, (_SINCE, _SINCE), follow_symlinks=False)


def install(source: Path, target: Path, mode: int) -> None:
    """Copy a file and give it a mode."""
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
    target.chmod(mode)
