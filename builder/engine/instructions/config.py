"""Instructions that only change the image's config: ARG, CMD, ENTRYPOINT, ENV, EXPOSE, LABEL and the like."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from builder.dockerfile import syntax
from builder.engine import wording
from builder.engine.arguments import declare
from builder.engine.scope import updated_env
from builder.engine.stage import Stage
from builder.image.config import Healthcheck

DEFAULT_SHELL = ("/bin/sh", "-c")


def env(stage: Stage, instruction: syntax.Env) -> None:
    variables = stage.config.env
    for name, value in instruction.pairs:
        stage.scope.set_env(name, value)
        variables = updated_env(variables, name, value)
    stage.configure(f"ENV {_pairs(instruction.pairs)}", env=variables)


def label(stage: Stage, instruction: syntax.Label) -> None:
    labels = {**stage.config.labels, **dict(instruction.pairs)}
    stage.configure(f"LABEL {_pairs(instruction.pairs)}", labels=labels)


def arg(stage: Stage, instruction: syntax.Arg, escape: str) -> None:
    stage.note(declare(instruction, stage.scope, escape), empty_layer=True)


def cmd(stage: Stage, instruction: syntax.Cmd) -> None:
    words = command_words(stage, instruction.command)
    stage.cmd_is_own = True
    stage.configure(f"CMD {wording.quoted_list(words)}", cmd=words, args_escaped=True)


def entrypoint(stage: Stage, instruction: syntax.Entrypoint) -> None:
    words = command_words(stage, instruction.command)
    kept = stage.config.cmd if stage.cmd_is_own else None
    stage.configure(f"ENTRYPOINT {wording.quoted_list(words)}", entrypoint=words, cmd=kept)


def shell(stage: Stage, instruction: syntax.Shell) -> None:
    stage.configure(f"SHELL {wording.plain_list(instruction.words)}", shell=instruction.words)


def expose(stage: Stage, instruction: syntax.Expose) -> None:
    ports = dict.fromkeys((*stage.config.exposed_ports, *instruction.ports))
    stage.configure(f"EXPOSE {wording.plain_list(instruction.ports)}", exposed_ports=tuple(ports))


def volume(stage: Stage, instruction: syntax.Volume) -> None:
    volumes = dict.fromkeys((*stage.config.volumes, *instruction.paths))
    stage.configure(f"VOLUME {wording.plain_list(instruction.paths)}", volumes=tuple(volumes))


def user(stage: Stage, instruction: syntax.User) -> None:
    stage.configure(f"USER {instruction.user}", user=instruction.user)


def stop_signal(stage: Stage, instruction: syntax.StopSignal) -> None:
    stage.configure(f"STOPSIGNAL {instruction.signal}", stop_signal=instruction.signal)


def healthcheck(stage: Stage, instruction: syntax.Healthcheck) -> None:
    check = Healthcheck(
        test=_test(instruction.command),
        interval=instruction.interval,
        timeout=instruction.timeout,
        start_period=instruction.start_period,
        start_interval=instruction.start_interval,
        retries=instruction.retries,
    )
    stage.configure(f"HEALTHCHECK {wording.healthcheck(check)}", healthcheck=check)


def maintainer(stage: Stage, instruction: syntax.Maintainer) -> None:
    stage.image = replace(stage.image, author=instruction.name)
    stage.note(f"MAINTAINER {instruction.name}", empty_layer=True)


def on_build(stage: Stage, instruction: syntax.OnBuild) -> None:
    """A trigger for images FROM this one; it has no history."""
    stage.config = replace(stage.config, on_build=(*stage.config.on_build, instruction.trigger))


def command_words(stage: Stage, command: syntax.Command) -> tuple[str, ...]:
    """The words of a command, with the stage's shell before those of the shell form."""
    if not command.shell:
        return command.words
    return (*(stage.config.shell or DEFAULT_SHELL), " ".join(command.words))


def _test(command: syntax.Command | None) -> tuple[str, ...]:
    if command is None:
        return ("NONE",)
    return ("CMD-SHELL" if command.shell else "CMD", *command.words)


def _pairs(pairs: tuple[tuple[str, str], ...]) -> str:
    return " ".join(f"{name}={value}" for name, value in pairs)


def configure(stage: Stage, instruction: syntax.Instruction) -> None:
    """Carry out an instruction that changes no file, any but ARG; it is expanded."""
    _CONFIGURING[type(instruction)](stage, instruction)


_CONFIGURING: dict[type[syntax.Instruction], Callable[[Stage, Any], None]] = {
    syntax.Cmd: cmd,
    syntax.Entrypoint: entrypoint,
    syntax.Env: env,
    syntax.Expose: expose,
    syntax.Healthcheck: healthcheck,
    syntax.Label: label,
    syntax.Maintainer: maintainer,
    syntax.OnBuild: on_build,
    syntax.Shell: shell,
    syntax.StopSignal: stop_signal,
    syntax.User: user,
    syntax.Volume: volume,
}
