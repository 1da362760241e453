"""Build contexts that every user can read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

MakeContext = Callable[[Mapping[str, str | bytes]], Path]


def write_context(context: Path, files: Mapping[str, str | bytes]) -> Path:
    """Make `context`, a directory with `files` (path to content); returns it."""
    context.mkdir(exist_ok=True)
    context.chmod(0o755)
    for name, content in files.items():
        path = context / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        path.chmod(0o644)
    return context


def readable_copy(source: Path, target: Path) -> Path:
    """Copy a directory of the work tree, which may be closed to other users, to `target`, open to everyone."""
    for path in [source, *source.rglob("*")]:
        copy = target / path.relative_to(source)
        if path.is_dir():
            copy.mkdir()
            copy.chmod(0o755)
        else:
            copy.write_bytes(path.read_bytes())
            copy.chmod(0o644)
    return target
