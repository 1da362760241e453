"""Instructions with their variables replaced and their quotes removed.

The Dockerfile reference, "Environment replacement". Which fields are expanded is BuildKit's choice: never the commands
of RUN, CMD and ENTRYPOINT (their shell does that), nor ONBUILD, nor ``--from``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from builder.dockerfile.errors import DockerfileError
from builder.dockerfile.mounts import InvalidMount, mount_of
from builder.dockerfile.ports import InvalidPort, exposed_ports
from builder.dockerfile.signals import is_signal
from builder.dockerfile.syntax import (
    Add,
    Arg,
    Copy,
    Env,
    Expose,
    From,
    Heredoc,
    Instruction,
    Label,
    Mount,
    Run,
    StopSignal,
    User,
    Volume,
    Workdir,
)
from builder.dockerfile.words import Expanded, Lookup, WordError, expand_document, expand_word, expand_words


def expanded(instruction: Instruction, lookup: Lookup, escape: str) -> tuple[Instruction, frozenset[str]]:
    """The instruction with its expandable fields expanded, and the names that had no value.

    Within one ENV all values see the variables from before it; within one ARG a default sees the defaults before it
    (a caller that has values for some of them uses `expanded_default`). Ports come out normalised, mounts checked.
    Raises DockerfileError.

    Args:
        instruction: any instruction.
        lookup: a variable's value, None if it is not set.
        escape: the Dockerfile's escape character.
    """
    expand = _EXPANDERS.get(type(instruction))
    if expand is None:
        return instruction, frozenset()
    expander = _Expander(instruction, lookup, escape)
    return expand(expander, instruction), frozenset(expander.unmatched)


def expanded_default(arg: Arg, index: int, lookup: Lookup, escape: str) -> tuple[str | None, frozenset[str]]:
    """The default of one name of an ARG, and the names in it that had no value. Raises DockerfileError."""
    expander = _Expander(arg, lookup, escape)
    return expander.optional(arg.pairs[index][1]), frozenset(expander.unmatched)


class _Expander:
    """Expands the words of one instruction and collects what had no value."""

    def __init__(self, instruction: Instruction, lookup: Lookup, escape: str) -> None:
        self._instruction, self.lookup, self._escape = instruction, lookup, escape
        self.unmatched: set[str] = set()

    def error(self, reason: str, fragment: str = "", hint: str | None = None) -> DockerfileError:
        return DockerfileError.at(self._instruction, reason, fragment, hint)

    def word(self, word: str) -> str:
        return self._noted(word, lambda: expand_word(word, self.lookup, self._escape))

    def optional(self, word: str | None) -> str | None:
        return None if word is None else self.word(word)

    def words(self, words: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(self.word(word) for word in words)

    def pairs(self, pairs: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
        return tuple((self.word(name), self.word(value)) for name, value in pairs)

    def split(self, word: str) -> list[str]:
        self.word(word)
        return expand_words(word, self.lookup, self._escape)

    def document(self, heredoc: Heredoc) -> Heredoc:
        content = heredoc.content()
        if heredoc.expand:
            content = self._noted(f"<<{heredoc.name}", lambda: expand_document(heredoc.content(), self.lookup))
        return replace(heredoc, data=content, expand=False, chomp=False)

    def mount(self, mount: Mount) -> Mount:
        options = tuple((key, self.optional(value)) for key, value in mount.options)
        try:
            return mount_of(options, final=True)
        except InvalidMount as error:
            raise self.error(f"--mount: {error.message}", error.fragment, error.hint) from None

    def _noted(self, fragment: str, expand: Callable[[], Expanded]) -> str:
        try:
            result = expand()
        except WordError as error:
            raise self.error(error.message, fragment, error.hint) from None
        self.unmatched |= result.unmatched
        return result.text


def _from(expander: _Expander, instruction: From) -> From:
    image = expander.word(instruction.image)
    if not image:
        raise expander.error(f"base name ({instruction.image}) should not be blank", instruction.image)
    platform = expander.optional(instruction.platform)
    if platform == "":
        raise expander.error(f"empty platform value from expression {instruction.platform}", instruction.platform or "")
    return replace(instruction, image=image, platform=platform)


def _arg(expander: _Expander, instruction: Arg) -> Arg:
    outer, defaults = expander.lookup, dict[str, str]()
    expander.lookup = lambda name: defaults.get(name, outer(name))
    pairs: list[tuple[str, str | None]] = []
    for name, value in instruction.pairs:
        default = expander.optional(value)
        pairs.append((name, default))
        if default is not None:
            defaults[name] = default
    return replace(instruction, pairs=tuple(pairs))


def _env(expander: _Expander, instruction: Env) -> Env:
    return replace(instruction, pairs=expander.pairs(instruction.pairs))


def _label(expander: _Expander, instruction: Label) -> Label:
    return replace(instruction, pairs=expander.pairs(instruction.pairs))


def _run(expander: _Expander, instruction: Run) -> Run:
    return replace(instruction, mounts=tuple(expander.mount(mount) for mount in instruction.mounts))


def _copy(expander: _Expander, instruction: Copy) -> Copy:
    return replace(
        instruction,
        chown=expander.optional(instruction.chown),
        chmod=expander.optional(instruction.chmod),
        sources=expander.words(instruction.sources),
        heredocs=tuple(expander.document(heredoc) for heredoc in instruction.heredocs),
        destination=expander.word(instruction.destination),
    )


def _add(expander: _Expander, instruction: Add) -> Add:
    return replace(
        instruction,
        chown=expander.optional(instruction.chown),
        chmod=expander.optional(instruction.chmod),
        checksum=expander.optional(instruction.checksum),
        sources=expander.words(instruction.sources),
        heredocs=tuple(expander.document(heredoc) for heredoc in instruction.heredocs),
        destination=expander.word(instruction.destination),
    )


def _expose(expander: _Expander, instruction: Expose) -> Expose:
    ports: list[str] = []
    for port in instruction.ports:
        try:
            ports.extend(exposed_ports(expander.split(port)))
        except InvalidPort as error:
            raise expander.error(error.message, port, error.hint) from None
    return replace(instruction, ports=tuple(ports))


def _volume(expander: _Expander, instruction: Volume) -> Volume:
    paths = expander.words(instruction.paths)
    if "" in paths:
        raise expander.error("a path of VOLUME can not be empty", instruction.paths[paths.index("")])
    return replace(instruction, paths=paths)


def _user(expander: _Expander, instruction: User) -> User:
    return replace(instruction, user=expander.word(instruction.user))


def _workdir(expander: _Expander, instruction: Workdir) -> Workdir:
    return replace(instruction, path=expander.word(instruction.path))


def _stop_signal(expander: _Expander, instruction: StopSignal) -> StopSignal:
    signal = expander.word(instruction.signal)
    if not is_signal(signal):
        raise expander.error(f"invalid signal: {signal}", instruction.signal, "a name such as SIGTERM, or a number")
    return replace(instruction, signal=signal)


_EXPANDERS: dict[type[Instruction], Callable[[_Expander, Any], Instruction]] = {
    Add: _add,
    Arg: _arg,
    Copy: _copy,
    Env: _env,
    Expose: _expose,
    From: _from,
    Label: _label,
    Run: _run,
    StopSignal: _stop_signal,
    User: _user,
    Volume: _volume,
    Workdir: _workdir,
}
