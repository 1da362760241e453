"""Instructions that only change the image's config: CMD, ENTRYPOINT, SHELL, EXPOSE, VOLUME, USER, WORKDIR, STOPSIGNAL,
MAINTAINER."""

from __future__ import annotations

from builder.dockerfile.instructions.flags import no_flags
from builder.dockerfile.instructions.parts import Parts
from builder.dockerfile.syntax import Cmd, Entrypoint, Expose, Maintainer, Shell, StopSignal, User, Volume, Workdir
from builder.dockerfile.tokens import plain_words
from builder.dockerfile.whitespace import WHITESPACE


def parse_cmd(parts: Parts) -> Cmd:
    no_flags(parts)
    return Cmd(command=parts.command(), **parts.place)


def parse_entrypoint(parts: Parts) -> Entrypoint:
    no_flags(parts)
    return Entrypoint(command=parts.command(), **parts.place)


def parse_shell(parts: Parts) -> Shell:
    no_flags(parts)
    words = parts.strings()
    if words is None and parts.rest.text:
        raise parts.error(
            "SHELL requires the arguments to be in JSON form", parts.rest, 'write SHELL ["/bin/sh", "-c"]'
        )
    if not words:
        raise parts.error("SHELL requires at least one argument", hint='write SHELL ["/bin/sh", "-c"]')
    return Shell(words=words, **parts.place)


def parse_expose(parts: Parts) -> Expose:
    no_flags(parts)
    words = plain_words(parts.rest)
    if not words:
        raise parts.error("EXPOSE requires at least one argument")
    return Expose(ports=tuple(sorted(word.text for word in words)), **parts.place)


def parse_volume(parts: Parts) -> Volume:
    no_flags(parts)
    strings = parts.strings()
    paths = tuple(word.text for word in plain_words(parts.rest)) if strings is None else strings
    if not paths:
        raise parts.error("VOLUME requires at least one argument")
    paths = tuple(path.strip(WHITESPACE) for path in paths)
    if "" in paths:
        raise parts.error("a path of VOLUME can not be empty", parts.rest)
    return Volume(paths=paths, **parts.place)


def parse_user(parts: Parts) -> User:
    return User(user=_one_argument(parts), **parts.place)


def parse_workdir(parts: Parts) -> Workdir:
    return Workdir(path=_one_argument(parts), **parts.place)


def parse_stop_signal(parts: Parts) -> StopSignal:
    return StopSignal(signal=_one_argument(parts), **parts.place)


def parse_maintainer(parts: Parts) -> Maintainer:
    return Maintainer(name=_one_argument(parts), **parts.place)


def _one_argument(parts: Parts) -> str:
    """All of the line is the one argument, blanks included."""
    no_flags(parts)
    if not parts.rest.text:
        raise parts.error(f"{parts.keyword} requires exactly one argument")
    return parts.rest.text
