"""Errors with the place in the Dockerfile that they come from."""

from __future__ import annotations

from builder.dockerfile.errors import DockerfileError
from builder.dockerfile.syntax import Instruction
from builder.errors import BuilderError, Interrupted, RunFailed, UnusableLayer


class StepFailed(BuilderError):
    """An instruction could not be carried out; the message begins with its file and line."""


class Stopped(BuilderError):
    """Another part of the build failed, or it was interrupted: this part ends quietly."""

    def __init__(self) -> None:
        super().__init__("stopped")


def place(instruction: Instruction, stage: str) -> str:
    """Where an instruction is, for people: ``Dockerfile:4 (stage build)``."""
    where = f"{instruction.location.path}:{instruction.location.line}"
    return f"{where} (stage {stage})" if stage else where


def located(error: BuilderError, instruction: Instruction, stage: str = "") -> BuilderError:
    """`error` with the place of `instruction` and the name of its stage, unless it has one or needs none."""
    if isinstance(error, (DockerfileError, RunFailed, StepFailed, Interrupted, Stopped, UnusableLayer)):
        return error
    where = place(instruction, stage)
    summary = instruction.text if len(instruction.text) <= 100 else instruction.text[:97] + "..."
    return StepFailed(f"{where}: {summary}: {error.message}", hint=error.hint, exit_code=error.exit_code)
