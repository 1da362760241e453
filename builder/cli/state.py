"""Where the builder keeps its state, and whether it runs from its own image."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

IMAGE_DIRECTORY = "/kaniko"


def image_directory(environment: Mapping[str, str]) -> Path | None:
    """The builder's own directory if this process runs in the builder's image, else None."""
    if environment.get("KANIKO_DIR"):
        return Path(environment["KANIKO_DIR"])
    return Path(IMAGE_DIRECTORY) if os.path.isdir(IMAGE_DIRECTORY) else None


def default_state_dir(environment: Mapping[str, str]) -> Path:
    """``/kaniko/state`` in the image, root's ``/var/lib/builder``, else ``$XDG_STATE_HOME/builder``."""
    own = image_directory(environment)
    if own:
        return own / "state"
    if os.geteuid() == 0:
        return Path("/var/lib/builder")
    base = environment.get("XDG_STATE_HOME", "")
    return Path(base if os.path.isabs(base) else os.path.expanduser("~/.local/state")) / "builder"
