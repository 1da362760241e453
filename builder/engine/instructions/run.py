"""RUN: a command on the stage's files, and what it changed."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path

from builder.dockerfile.errors import DockerfileError
from builder.dockerfile.syntax import Command as Words
from builder.dockerfile.syntax import Run
from builder.engine.instructions.config import command_words
from builder.engine.located import place
from builder.engine.mounts.prepare import Mounted, MountSources, prepared
from builder.engine.services import Services
from builder.engine.stage import Stage
from builder.engine.users import process_user
from builder.errors import IsolationError, RunFailed
from builder.isolation.command import Bind, Command, DirectoryRoot, OverlayRoot
from builder.layer.changes import Changes
from builder.progress import Step, StepOutput, working
from builder.rootfs.base import OverlayDirectories, PlainDirectory
from builder.storage.failure import explained

_SCRIPTS = "/dev/pipes"


def run(
    stage: Stage,
    instruction: Run,
    services: Services,
    step: Step,
    mounts: MountSources,
    settle: Callable[[], None],
    network: str = "default",
) -> Changes:
    """Run the command and apply what it changed to the stage's tree. Returns the layer's changes.

    Args:
        settle: called before files of earlier layers may change on disk.
        network: default, none or host, for a command that does not say.

    Raises:
        RunFailed: it ended with another status than 0.
        IsolationError: nothing can be run here, or this could not be started.
    """
    check(instruction)
    if services.isolation is None:
        raise services.refusal or IsolationError("commands cannot be run here")
    words = _words(stage, instruction)
    rootfs = stage.rootfs
    if not rootfs.frozen:
        settle()

    def output(stream: int, line: bytes) -> None:
        services.progress.emit(StepOutput(step, stream, line))

    with prepared(instruction, stage.config.working_dir, mounts) as mounted:
        command = _command(stage, instruction, words, rootfs.prepare(), services, mounted, network)
        with working(services.progress, "run"):
            status = services.isolation.run(command, output)
    if status:
        raise _failed(stage, instruction, words, status, services.advice)
    with working(services.progress, "snapshot"):
        changes = rootfs.snapshot(stage.tree)
    stage.tree.apply(changes)
    stage.note(created_by(stage, instruction), empty_layer=False)
    return changes


def created_by(stage: Stage, instruction: Run) -> str:
    """What the history says of it."""
    return " ".join(["RUN", *stage.scope.run_prefix(), *_words(stage, instruction), "# buildkit"])


def check(instruction: Run) -> None:
    """Raises DockerfileError for what a RUN may not ask for."""
    if instruction.security == "insecure":
        raise DockerfileError.at(
            instruction,
            "RUN --security=insecure is refused: commands never get more than Docker's default capabilities",
            "--security=insecure",
        )


def _words(stage: Stage, instruction: Run) -> tuple[str, ...]:
    """The command's words, heredocs put where BuildKit puts them."""
    command, heredocs = instruction.command, instruction.heredocs
    if not heredocs:
        return command_words(stage, command)
    if not _is_only_heredoc(instruction):
        # The shell itself knows heredocs: give it the lines back.
        text = "".join(f"\n{heredoc.data}{heredoc.name}" for heredoc in heredocs)
        return command_words(stage, Words(words=(command.words[0] + text,), shell=True))
    content = heredocs[0].content()
    if content.startswith("#!"):
        return (*_shell(stage), f"{_SCRIPTS}/{heredocs[0].name}")
    return command_words(stage, Words(words=(content,), shell=True))


def _shell(stage: Stage) -> tuple[str, ...]:
    return command_words(stage, Words(words=("",), shell=True))[:-1]


def _is_only_heredoc(instruction: Run) -> bool:
    """Whether the line is nothing but ``<<NAME``."""
    line = instruction.command.words[0].strip() if instruction.command.words else ""
    name = instruction.heredocs[0].name
    return len(instruction.heredocs) == 1 and line.lstrip("0123456789") in (
        f"<<{dash}{quote}{name}{quote}" for dash in ("", "-") for quote in ("", '"', "'")
    )


def _command(
    stage: Stage,
    instruction: Run,
    words: tuple[str, ...],
    where: OverlayDirectories | PlainDirectory,
    services: Services,
    mounted: Mounted,
    network: str,
) -> Command:
    process = process_user(stage.tree, stage.config.user)
    environment = {"HOME": process.home} | stage.scope.environment() | mounted.environment
    asked = network if instruction.network in (None, "default") else instruction.network
    return Command(
        argv=words,
        env=tuple(f"{name}={value}" for name, value in environment.items()),
        cwd=stage.config.working_dir or "/",
        uid=process.uid,
        gid=process.gid,
        groups=process.groups,
        root=_root(where),
        mounts=(*_emulator(stage, services), *_script(instruction, services.scratch), *mounted.mounts),
        network="none" if asked == "none" else "host",
    )


def _emulator(stage: Stage, services: Services) -> tuple[Bind, ...]:
    """The interpreter of programs for another processor, where the kernel does not have it open."""
    found = services.emulators.get(stage.image.platform.architecture)
    return () if found is None else (found,)


def _root(where: OverlayDirectories | PlainDirectory) -> OverlayRoot | DirectoryRoot:
    if isinstance(where, OverlayDirectories):
        return OverlayRoot(lowers=where.lowers, upper=where.upper, work=where.work)
    return DirectoryRoot(path=where.path)


def _script(instruction: Run, scratch: Path) -> tuple[Bind, ...]:
    """A heredoc that names its interpreter, as a file that only this command sees."""
    if not instruction.heredocs or not _is_only_heredoc(instruction):
        return ()
    content = instruction.heredocs[0].content()
    if not content.startswith("#!"):
        return ()
    name = instruction.heredocs[0].name
    path = scratch / f"script-{instruction.location.line}-{id(instruction):x}"
    with explained("write", path):
        path.write_bytes(content.encode("utf-8", "surrogateescape"))
        path.chmod(0o755)
    return (Bind(target=f"{_SCRIPTS}/{name}", source=str(path), read_only=True),)


def _failed(stage: Stage, instruction: Run, words: tuple[str, ...], status: int, advice: str | None) -> RunFailed:
    where = place(instruction, stage.name)
    hint = advice
    if status == 137:
        hint = "it was killed: perhaps it ran out of memory"
    return RunFailed(
        f"{where}: the command {shlex.join(words)} failed with exit code {status}", status=status, hint=hint
    )
