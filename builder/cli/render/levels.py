"""Which messages a verbosity lets through."""

from __future__ import annotations

from builder.cli.options import Verbosity
from builder.progress import Level

_RANKS = {"panic": 0, "fatal": 0, "error": 1, "warning": 2, "warn": 2, "info": 3, "debug": 4, "trace": 5}


def shows(verbosity: Verbosity, level: Level) -> bool:
    """Whether a message of `level` is shown at `verbosity`."""
    return _RANKS[level] <= _RANKS[verbosity]
