"""Paths that must stay below a directory, whatever links it contains."""

from __future__ import annotations

import os
from pathlib import Path

from builder.errors import ContextError


def inside(root: Path, relative: str) -> Path:
    """`relative` below `root`, links resolved. Raises ContextError if it leads outside."""
    base = os.path.realpath(root)
    found = os.path.realpath(os.path.join(base, relative.lstrip("/")))
    if found != base and not found.startswith(base.rstrip("/") + "/"):
        raise ContextError(f"{relative!r} is outside of the context")
    return Path(found)
