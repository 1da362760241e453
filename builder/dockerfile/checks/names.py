"""Checks of names: DuplicateStageName, ReservedStageName, SecretsUsedInArgOrEnv, InvalidDefinitionDescription."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from builder.dockerfile.checks.finding import Finding
from builder.dockerfile.syntax import Arg, Dockerfile, Env, Instruction

_RESERVED = ("context", "scratch")
_SECRET = re.compile(
    r"(?:_|^)(?:apikey|auth|credentials?|key|password|pword|passwd|secret|token)(?:_|$)", re.IGNORECASE
)
_NO_SECRET = re.compile(r"(?:_|^)(?:public|file|version)(?:_|$)", re.IGNORECASE)


def check_names(dockerfile: Dockerfile) -> Iterator[Finding]:
    yield from _stage_names(dockerfile)
    for stage in dockerfile.stages:
        for instruction in stage.instructions:
            yield from _secrets(instruction)
    yield from _descriptions(dockerfile)


def _stage_names(dockerfile: Dockerfile) -> Iterator[Finding]:
    seen: set[str] = set()
    for stage in dockerfile.stages:
        if stage.name in _RESERVED:
            message = f'Stage name should not use the same name as reserved stage "{stage.name}"'
            yield Finding(name="ReservedStageName", location=stage.base.location, message=message)
        if stage.name in seen:
            message = f'Duplicate stage name "{stage.name}", stage names should be unique'
            yield Finding(name="DuplicateStageName", location=stage.base.location, message=message)
        if stage.name:
            seen.add(stage.name)


def _secrets(instruction: Instruction) -> Iterator[Finding]:
    if not isinstance(instruction, Arg | Env):
        return
    for name, _ in instruction.pairs:
        if _SECRET.search(name) and not _NO_SECRET.search(name):
            message = f'Do not use ARG or ENV instructions for sensitive data ({instruction.keyword} "{name}")'
            yield Finding(name="SecretsUsedInArgOrEnv", location=instruction.location, message=message)


def _descriptions(dockerfile: Dockerfile) -> Iterator[Finding]:
    """The comment above a named stage or an ARG is its description, and begins with its name."""
    above = {comment.line: comment.lines for comment in dockerfile.comments}
    for arg in dockerfile.global_args:
        yield from _description(arg, [name for name, _ in arg.pairs], above.get(arg.location.line, ()))
    for stage in dockerfile.stages:
        yield from _description(stage.base, [stage.name or ""], above.get(stage.base.location.line, ()))
        for instruction in stage.instructions:
            if isinstance(instruction, Arg):
                names = [name for name, _ in instruction.pairs]
                yield from _description(instruction, names, above.get(instruction.location.line, ()))


def _description(instruction: Instruction, names: Sequence[str], comments: Sequence[str]) -> Iterator[Finding]:
    if not comments or names == [""] or comments[-1].split(" ")[0] in names:
        return
    name = names[0] if len(names) == 1 else "<arg_key>"
    message = f"Comment for {instruction.keyword} should follow the format: `# {name} <description>`"
    yield Finding(name="InvalidDefinitionDescription", location=instruction.location, message=message)
