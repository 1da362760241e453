"""What the layer of an instruction depends on, as components of its key."""

from __future__ import annotations

import re
from collections.abc import Iterator

from builder.cache.base import Work
from builder.cache.inputs import BENEATH, INSTRUCTION
from builder.cache.keys import Component, Value, component
from builder.dockerfile.syntax import Add, Copy, Heredoc, Instruction, Mount, Run, Transfer, Workdir
from builder.engine.instructions.workdir import absolute
from builder.engine.request import BuildRequest, ImageFormat
from builder.engine.stage import Stage

Step = Run | Copy | Add | Workdir
"""The instructions that make layers."""

_USER_INFO = re.compile(r"(?<=//)[^/@\s]+@")
_LONGEST_TEXT = 500


def work_of(instruction: Step) -> Work:
    if isinstance(instruction, Run):
        return "run"
    return "workdir" if isinstance(instruction, Workdir) else "copy"


def shown(instruction: Instruction) -> str:
    """The instruction for people, as a cache keeps it: not expanded, no passwords of URLs."""
    return _USER_INFO.sub("", instruction.text)[:_LONGEST_TEXT]


def components_of(stage: Stage, instruction: Step, request: BuildRequest, beneath: str) -> list[Component]:
    """Everything but the files that are copied or mounted.

    Args:
        beneath: the identity of what the stage stands on.
    """
    found = [component(INSTRUCTION, _words(stage, instruction))]
    if not is_independent(instruction):
        found.append(component(BENEATH, beneath))
    found.append(component("platform", str(stage.platform)))
    if isinstance(instruction, Run):
        found += _surroundings(stage, instruction, request)
    elif isinstance(instruction, Workdir):
        found.append(component("USER", stage.config.user))
    elif not instruction.destination.startswith("/"):
        found.append(component("WORKDIR", stage.config.working_dir))
    heredocs = () if isinstance(instruction, Workdir) else instruction.heredocs
    found += (component(f"heredoc {each.name}", each.content()) for each in heredocs)
    return [*found, _format(work_of(instruction), request.format)]


def is_independent(instruction: Step) -> bool:
    """Whether the layer is the same whatever is below: ``--link``, unless a name is looked up there."""
    if not isinstance(instruction, (Copy, Add)) or not instruction.link or instruction.chmod is not None:
        return False
    return all(part.isascii() and part.isdigit() for part in (instruction.chown or "0").split(":"))


def _words(stage: Stage, instruction: Step) -> Value:
    if isinstance(instruction, Workdir):
        return ["WORKDIR", absolute(stage.config.working_dir, instruction.path)]
    if isinstance(instruction, Run):
        return ["RUN", *_run(instruction)]
    return [instruction.keyword, *_transfer(instruction)]


def _run(instruction: Run) -> list[Value]:
    return [
        list(instruction.command.words),
        instruction.command.shell,
        instruction.security,
        [_mount(each) for each in instruction.mounts],
        [_heredoc(each) for each in instruction.heredocs],
    ]


def _mount(mount: Mount) -> Value:
    """All that is said of a mount but where it comes from, which is told by what is there."""
    return [
        mount.type, mount.source, mount.target, mount.id, mount.sharing, mount.uid, mount.gid, mount.mode,
        mount.read_only, mount.required, mount.env, mount.size,
    ]  # fmt: skip


def _transfer(instruction: Transfer) -> list[Value]:
    own: list[Value] = []
    if isinstance(instruction, Copy):
        own = [instruction.parents, instruction.from_ is None]
    elif isinstance(instruction, Add):
        own = [instruction.checksum, instruction.keep_git_dir, instruction.unpack]
    return [
        list(instruction.sources),
        [_heredoc(each) for each in instruction.heredocs],
        instruction.destination,
        instruction.chown,
        instruction.chmod,
        instruction.link,
        list(instruction.excludes),
        *own,
    ]


def _heredoc(heredoc: Heredoc) -> Value:
    return [heredoc.name, heredoc.expand, heredoc.chomp, heredoc.file_descriptor]


def _surroundings(stage: Stage, instruction: Run, request: BuildRequest) -> Iterator[Component]:
    """What a command sees besides its files."""
    yield component("USER", stage.config.user)
    yield component("WORKDIR", stage.config.working_dir)
    if instruction.command.shell or instruction.heredocs:
        yield component("SHELL", None if stage.config.shell is None else list(stage.config.shell))
    for kind, name, value in stage.scope.declared():
        yield component(f"{kind} {name}", value)
    network = request.network if instruction.network in (None, "default") else instruction.network
    yield component("--network", network == "none")
    if request.ignore_paths:
        yield component("--ignore-path", sorted(request.ignore_paths))


def _format(work: Work, image: ImageFormat) -> Component:
    """How the layer is written. Its blob is a function of that, so what is kept must be, too."""
    clamped = work != "run" or image.reproducible
    return component(
        "format of layers",
        [
            image.compression,
            image.level,
            image.reproducible,
            image.epoch is not None,
            image.epoch if clamped else None,
        ],
        format=True,
    )
