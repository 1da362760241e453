"""An instruction as text, after expansion: for plans, and for histories where they show it so."""

from __future__ import annotations

import json
from collections.abc import Iterator

from builder.dockerfile.syntax import (
    Add,
    Cmd,
    Command,
    Copy,
    Entrypoint,
    Env,
    Expose,
    Heredoc,
    Instruction,
    Label,
    Mount,
    Run,
    StopSignal,
    Transfer,
    User,
    Volume,
    Workdir,
)


def canonical(instruction: Instruction) -> str:
    """The instruction on one line, its flags in a fixed order; what needs no expansion as it is written."""
    words = list(_words(instruction))
    return " ".join([instruction.keyword, *words]) if words else instruction.text


def _words(instruction: Instruction) -> Iterator[str]:
    match instruction:
        case Env() | Label():
            yield from (f"{name}={_quoted(value)}" for name, value in instruction.pairs)
        case Copy() | Add():
            yield from _transfer(instruction)
        case Run():
            yield from _run(instruction)
        case Cmd() | Entrypoint():
            yield _command(instruction.command)
        case Expose():
            yield from instruction.ports
        case Volume():
            yield json.dumps(instruction.paths, ensure_ascii=False)
        case User():
            yield instruction.user
        case Workdir():
            yield instruction.path
        case StopSignal():
            yield instruction.signal
        case _:
            return


def _transfer(instruction: Copy | Add) -> Iterator[str]:
    yield from _own_flags(instruction)
    yield from _common_flags(instruction)
    yield from (_quoted(source) for source in instruction.sources)
    yield from (_heredoc(heredoc) for heredoc in instruction.heredocs)
    yield _quoted(instruction.destination)


def _own_flags(instruction: Copy | Add) -> Iterator[str]:
    if isinstance(instruction, Copy):
        if instruction.from_:
            yield f"--from={instruction.from_}"
        if instruction.parents:
            yield "--parents"
        return
    if instruction.checksum:
        yield f"--checksum={instruction.checksum}"
    if instruction.keep_git_dir:
        yield "--keep-git-dir"
    if instruction.unpack is not None:
        yield f"--unpack={str(instruction.unpack).lower()}"


def _common_flags(instruction: Transfer) -> Iterator[str]:
    if instruction.link:
        yield "--link"
    if instruction.chown:
        yield f"--chown={instruction.chown}"
    if instruction.chmod:
        yield f"--chmod={instruction.chmod}"
    yield from (f"--exclude={pattern}" for pattern in instruction.excludes)


def _run(instruction: Run) -> Iterator[str]:
    yield from (f"--mount={_mount(mount)}" for mount in instruction.mounts)
    if instruction.network:
        yield f"--network={instruction.network}"
    if instruction.security:
        yield f"--security={instruction.security}"
    yield _command(instruction.command)


def _mount(mount: Mount) -> str:
    return ",".join(key if value is None else f"{key}={value}" for key, value in mount.options) or f"type={mount.type}"


def _command(command: Command) -> str:
    if command.shell:
        return " ".join(command.words)
    return json.dumps(command.words, ensure_ascii=False)


def _heredoc(heredoc: Heredoc) -> str:
    return f"<<{heredoc.name} ({len(heredoc.content().encode('utf-8', 'surrogateescape'))} bytes)"


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False) if not text or any(each in text for each in " \t\n\"'") else text
