"""A Dockerfile's text to its syntax tree."""

from __future__ import annotations

from dataclasses import replace

from builder.dockerfile.errors import DockerfileError, did_you_mean
from builder.dockerfile.instructions.config import (
    parse_cmd,
    parse_entrypoint,
    parse_expose,
    parse_maintainer,
    parse_shell,
    parse_stop_signal,
    parse_user,
    parse_volume,
    parse_workdir,
)
from builder.dockerfile.instructions.healthcheck import parse_healthcheck
from builder.dockerfile.instructions.names import parse_arg, parse_env, parse_label
from builder.dockerfile.instructions.parts import Parser, Parts
from builder.dockerfile.instructions.run import parse_run
from builder.dockerfile.instructions.stage import check_trigger, parse_from, parse_on_build, trigger_of
from builder.dockerfile.instructions.transfer import parse_add, parse_copy
from builder.dockerfile.lines import Source, read_source
from builder.dockerfile.logical_line import LogicalLine
from builder.dockerfile.syntax import (
    Arg,
    Comment,
    Dockerfile,
    From,
    Instruction,
    Location,
    Maintainer,
    Run,
    Stage,
    Warning_,
)

_PARSERS: dict[str, Parser] = {
    "ADD": parse_add,
    "ARG": parse_arg,
    "CMD": parse_cmd,
    "COPY": parse_copy,
    "ENTRYPOINT": parse_entrypoint,
    "ENV": parse_env,
    "EXPOSE": parse_expose,
    "FROM": parse_from,
    "HEALTHCHECK": parse_healthcheck,
    "LABEL": parse_label,
    "MAINTAINER": parse_maintainer,
    "ONBUILD": parse_on_build,
    "RUN": parse_run,
    "SHELL": parse_shell,
    "STOPSIGNAL": parse_stop_signal,
    "USER": parse_user,
    "VOLUME": parse_volume,
    "WORKDIR": parse_workdir,
}


def parse(text: bytes | str, path: str) -> Dockerfile:
    """Parse a Dockerfile; `path` is what messages call it.

    Bytes are UTF-8; others are kept in comments and in the heredocs of COPY and ADD. Raises DockerfileError.
    """
    source = read_source(text.decode("utf-8", "surrogateescape") if isinstance(text, bytes) else text, path)
    instructions = [_instruction(line, source.escape) for line in source.lines]
    if not instructions:
        raise DockerfileError("file with no instructions", path=path, line=1)
    global_args, stages = _stages(instructions, source.lines)
    return Dockerfile(
        path=path,
        directives=source.directives,
        escape=source.escape,
        global_args=global_args,
        stages=stages,
        warnings=_warnings(source, instructions),
        comments=tuple(Comment(line=line.location.line, lines=line.comments) for line in source.lines if line.comments),
    )


def parse_instruction(text: str, location: Location, escape: str) -> Instruction:
    """Parse one instruction that an image's config holds as an ONBUILD trigger, heredocs included.

    `location` is where it is reported to be (the FROM). Raises DockerfileError, also for what may not be a trigger.
    """
    try:
        source = read_source(text, location.path, escape)
    except DockerfileError as error:
        raise DockerfileError.in_file(location, f"the ONBUILD trigger {text!r}: {error.reason}") from None
    if len(source.lines) != 1:
        raise DockerfileError.in_file(location, f"the ONBUILD trigger {text!r} should be a single instruction")
    line = source.lines[0]
    pieces = tuple(piece._replace(number=location.line) for piece in line.pieces)
    line = replace(line, location=location, pieces=pieces)
    check_trigger(Parts.of(line, escape))
    return _instruction(line, escape)


def _instruction(line: LogicalLine, escape: str) -> Instruction:
    _check_characters(line)
    parts = Parts.of(line, escape)
    instruction = _parser(parts)(parts)
    if isinstance(instruction, Run):
        _check_documents(line)
    if parts.keyword == "ONBUILD":
        trigger = trigger_of(parts)
        _parser(trigger)(trigger)
    return instruction


def _parser(parts: Parts) -> Parser:
    if parser := _PARSERS.get(parts.keyword):
        return parser
    raise parts.error(f"unknown instruction: {parts.word.text}", hint=did_you_mean(parts.word.text, _PARSERS))


def _check_characters(line: LogicalLine) -> None:
    """What no program's arguments and no JSON can hold."""
    for index, character in enumerate(line.text):
        if character == "\0":
            raise line.error("a NUL character", index, index + 1)
        if "\ud800" <= character <= "\udfff":
            raise line.error("this is not UTF-8", index, index + 1)


def _check_documents(line: LogicalLine) -> None:
    for heredoc in line.heredocs:
        if any(character == "\0" or "\ud800" <= character <= "\udfff" for character in heredoc.data):
            raise line.error(f"the heredoc {heredoc.name} is not UTF-8 text", 0, len(line.text))


def _stages(
    instructions: list[Instruction], lines: tuple[LogicalLine, ...]
) -> tuple[tuple[Arg, ...], tuple[Stage, ...]]:
    global_args: list[Arg] = []
    stages: list[tuple[From, list[Instruction]]] = []
    for instruction, line in zip(instructions, lines, strict=True):
        if isinstance(instruction, From):
            stages.append((instruction, []))
        elif stages:
            stages[-1][1].append(instruction)
        elif isinstance(instruction, Arg):
            global_args.append(instruction)
        else:
            keyword = instruction.keyword
            raise line.error(f"{keyword} before the first FROM", 0, len(keyword), "only ARG may stand above FROM")
    if not stages:
        raise DockerfileError.in_file(instructions[-1].location, "no FROM, so there is no stage to build")
    return tuple(global_args), tuple(
        Stage(index=index, name=base.name, base=base, instructions=tuple(held))
        for index, (base, held) in enumerate(stages)
    )


def _warnings(source: Source, instructions: list[Instruction]) -> tuple[Warning_, ...]:
    deprecated = [
        Warning_(
            name="MaintainerDeprecated",
            location=instruction.location,
            message="Maintainer instruction is deprecated in favor of using label",
        )
        for instruction in instructions
        if isinstance(instruction, Maintainer)
    ]
    return tuple(sorted([*source.warnings, *deprecated], key=lambda warning: warning.location.line))
