"""Checks of how an instruction is written, and how often: JSONArgsRecommended, LegacyKeyValueFormat,
MultipleInstructionsDisallowed, FromPlatformFlagConstDisallowed, RedundantTargetPlatform, CopyIgnoredFile."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator

from builder.dockerfile.checks.finding import Finding
from builder.dockerfile.ignore import IgnoreRules
from builder.dockerfile.syntax import (
    Add,
    Cmd,
    Copy,
    Dockerfile,
    Entrypoint,
    Env,
    Healthcheck,
    Instruction,
    Label,
    Shell,
    Stage,
)

_TARGET_PLATFORM = re.compile(r"\$TARGETPLATFORM|\$\{TARGETPLATFORM\}")


def check_forms(dockerfile: Dockerfile) -> Iterator[Finding]:
    own_shell: dict[str, bool] = {}
    for stage in dockerfile.stages:
        has_shell = own_shell.get(stage.base.image.lower(), False)
        for instruction in stage.instructions:
            has_shell = has_shell or isinstance(instruction, Shell)
            yield from _instruction(instruction, has_shell=has_shell)
        if stage.name:
            own_shell[stage.name] = has_shell
        yield from _repeated(stage)
        yield from _platform(stage)


def check_ignored(dockerfile: Dockerfile, ignore: IgnoreRules) -> Iterator[Finding]:
    """CopyIgnoredFile. With exceptions in the rules nothing is said: a directory that is out may have files in."""
    if ignore.has_exceptions:
        return
    for stage in dockerfile.stages:
        for instruction in stage.instructions:
            if isinstance(instruction, Add) or (isinstance(instruction, Copy) and not instruction.from_):
                yield from _ignored(instruction, ignore)


def _instruction(instruction: Instruction, *, has_shell: bool) -> Iterator[Finding]:
    keyword = instruction.keyword
    if isinstance(instruction, Cmd | Entrypoint) and instruction.command.shell and not has_shell:
        message = f"JSON arguments recommended for {keyword} to prevent unintended behavior related to OS signals"
        yield Finding(name="JSONArgsRecommended", location=instruction.location, message=message)
    if isinstance(instruction, Env | Label) and instruction.legacy:
        message = f'"{keyword} key=value" should be used instead of legacy "{keyword} key value" format'
        yield Finding(name="LegacyKeyValueFormat", location=instruction.location, message=message)


def _repeated(stage: Stage) -> Iterator[Finding]:
    last: dict[str, Instruction] = {}
    for instruction in stage.instructions:
        if not isinstance(instruction, Cmd | Entrypoint | Healthcheck):
            continue
        keyword = instruction.keyword
        if keyword in last:  # the one before is reported, as it is the one without effect
            message = (
                f"Multiple {keyword} instructions should not be used in the same stage "
                "because only the last one will be used"
            )
            yield Finding(name="MultipleInstructionsDisallowed", location=last[keyword].location, message=message)
        last[keyword] = instruction


def _platform(stage: Stage) -> Iterator[Finding]:
    platform = stage.base.platform
    if not platform:
        return
    if _TARGET_PLATFORM.fullmatch(platform):
        message = f"Setting platform to predefined {platform} in FROM is redundant as this is the default behavior"
        yield Finding(name="RedundantTargetPlatform", location=stage.base.location, message=message)
    elif "$" not in platform and not any(part in (stage.name or "") for part in platform.split("/")[:2]):
        message = f'FROM --platform flag should not use constant value "{platform}"'
        yield Finding(name="FromPlatformFlagConstDisallowed", location=stage.base.location, message=message)


def _ignored(instruction: Add | Copy, ignore: IgnoreRules) -> Iterator[Finding]:
    for source in instruction.sources:
        path = posixpath.normpath("/" + source).lstrip("/")
        if "$" in source or "://" in source or source.startswith("git@"):
            continue
        if path and ignore.excludes(path):
            message = (
                f'Attempting to {instruction.keyword.capitalize()} file "{source}" that is excluded by .dockerignore'
            )
            yield Finding(name="CopyIgnoredFile", location=instruction.location, message=message)
