"""WORKDIR: the working directory, made with all above it where it is missing."""

from __future__ import annotations

import posixpath
from dataclasses import replace

from builder.dockerfile.syntax import Workdir
from builder.engine.copying.copier import Copier, CopyOptions
from builder.engine.stage import Stage
from builder.engine.users import file_owner
from builder.layer.changes import Changes
from builder.layer.paths import inside


def absolute(working_dir: str, path: str) -> str:
    """`path` seen from `working_dir`, normalised, absolute."""
    return "/" + inside(posixpath.join(working_dir or "/", path))


def enter(stage: Stage, instruction: Workdir) -> str:
    """Set the directory alone; returns it."""
    path = absolute(stage.config.working_dir, instruction.path)
    stage.config = replace(stage.config, working_dir=path)
    return path


def created_by(stage: Stage) -> str:
    """What the history says of the WORKDIR that was entered last."""
    return f"WORKDIR {stage.config.working_dir}"


def workdir(stage: Stage, instruction: Workdir, time: int | None) -> Changes | None:
    """Set the directory; what had to be made belongs to the current USER. None: no layer (the root)."""
    path = enter(stage, instruction)
    stage.note(created_by(stage), empty_layer=path == "/")
    if path == "/":
        return None
    owner = file_owner(stage.tree, stage.config.user) if stage.config.user else None
    copier = Copier(stage.tree, CopyOptions(owner=owner, time=time, now=stage.created))
    copier.make_directories(stage.tree.find(path).path)
    return copier.changes
