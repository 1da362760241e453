"""Checks that need the values of variables: UndefinedVar, UndefinedArgInFrom, InvalidDefaultArgInFrom,
WorkdirRelativePath, ExposeProtoCasing, ExposeInvalidFormat.

They go through the stages with the defaults of ARG and what ENV sets. What the base image sets is known only to who has
its config, so a stage whose base is not described is not asked for undefined variables.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from builder.dockerfile.checks.finding import Finding
from builder.dockerfile.errors import DockerfileError, nearest
from builder.dockerfile.expand import expanded, expanded_default
from builder.dockerfile.ports import split_port
from builder.dockerfile.syntax import Arg, Dockerfile, Env, Expose, From, Instruction, Stage, Workdir
from builder.dockerfile.words import WordError, expand_word, expand_words

Environments = Mapping[int, Mapping[str, str]]
_PREDEFINED = {
    f"{side}{part}": value
    for side in ("BUILD", "TARGET")
    for part, value in (("PLATFORM", "linux/amd64"), ("OS", "linux"), ("ARCH", "amd64"), ("VARIANT", ""))
} | {"TARGETSTAGE": "default"}
_NAME = r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*"
_HOST = r"(?:[A-Za-z0-9][A-Za-z0-9.-]*|\[[0-9A-Fa-f:]+\])(?::[0-9]+)?"
_REFERENCE = re.compile(
    rf"(?:{_HOST}/)?{_NAME}(?:/{_NAME})*(?::\w[\w.-]{{0,127}})?(?:@[a-z0-9]+:[0-9a-f]{{32,}})?", re.ASCII
)


@dataclass(slots=True)
class _State:
    """What is known at a place in a stage.

    Attributes:
        values: variables that have a value.
        declared: names of ARGs, with a value or without.
        is_complete: whether no other variable can have a value.
        has_workdir: whether there was a WORKDIR.
    """

    values: dict[str, str] = field(default_factory=dict)
    declared: set[str] = field(default_factory=set)
    is_complete: bool = False
    has_workdir: bool = False

    def copy(self) -> _State:
        return _State(dict(self.values), set(self.declared), self.is_complete, self.has_workdir)


def check_variables(dockerfile: Dockerfile, environments: Environments) -> Iterator[Finding]:
    """`environments`: what the base image of a stage sets, by the stage's index; ``scratch`` sets nothing."""
    global_values = _global_values(dockerfile)
    declared = {name for arg in dockerfile.global_args for name, _ in arg.pairs} | set(global_values)
    states: dict[str, _State] = {}
    for stage in dockerfile.stages:
        yield from _from(stage.base, global_values, declared, dockerfile.escape)
        state = _first_state(stage, states, environments)
        for instruction in stage.instructions:
            yield from _instruction(instruction, state, global_values, dockerfile.escape)
        if stage.name:
            states[stage.name] = state


def _global_values(dockerfile: Dockerfile) -> dict[str, str]:
    values = dict(_PREDEFINED)
    for arg in dockerfile.global_args:
        for index, (name, default) in enumerate(arg.pairs):
            if default is not None:
                values[name] = _default(arg, index, values, dockerfile.escape)
    return values


def _first_state(stage: Stage, states: Mapping[str, _State], environments: Environments) -> _State:
    if base := states.get(stage.base.image.lower()):
        return base.copy()
    known = {} if stage.base.image == "scratch" else environments.get(stage.index)
    return _State({"PATH": "/bin", **(known or {})}, set(), known is not None, False)


def _from(base: From, values: Mapping[str, str], declared: set[str], escape: str) -> Iterator[Finding]:
    for word in (base.image, base.platform or ""):
        try:
            result = expand_word(word, values.get, escape)
        except WordError:
            continue  # the build itself reports it
        for name in sorted(result.unmatched - declared):
            near = nearest(name, declared)
            message = f"FROM argument '{name}' is not declared" + (f" (did you mean {near}?)" if near else "")
            yield Finding(name="UndefinedArgInFrom", location=base.location, message=message)
        if word == base.image and not _REFERENCE.fullmatch(result.text):
            message = f"Default value for ARG {base.image} results in empty or invalid base image name"
            yield Finding(name="InvalidDefaultArgInFrom", location=base.location, message=message)


def _instruction(
    instruction: Instruction, state: _State, global_values: Mapping[str, str], escape: str
) -> Iterator[Finding]:
    try:
        if isinstance(instruction, Expose):
            yield from _ports(instruction, state, escape)
        found, unmatched = expanded(instruction, state.values.get, escape)
    except (DockerfileError, WordError):
        return
    if isinstance(instruction, Arg):
        unmatched -= {name for name, _ in instruction.pairs}
    yield from _undefined(instruction, unmatched - state.declared, state)
    if isinstance(found, Workdir):
        if not state.has_workdir and not unmatched and not found.path.startswith("/"):
            message = f'Relative workdir "{found.path}" can have unexpected results if the base image changes'
            yield Finding(name="WorkdirRelativePath", location=found.location, message=message)
        state.has_workdir = True
    elif isinstance(found, Env):
        state.values.update(found.pairs)
    elif isinstance(instruction, Arg):
        _declare(instruction, state, global_values, escape)


def _undefined(instruction: Instruction, names: frozenset[str], state: _State) -> Iterator[Finding]:
    for name in sorted(names) if state.is_complete else ():
        near = nearest(name, state.values, fold=False)
        message = f"Usage of undefined variable '${name}'" + (f" (did you mean ${near}?)" if near else "")
        yield Finding(name="UndefinedVar", location=instruction.location, message=message)


def _declare(arg: Arg, state: _State, global_values: Mapping[str, str], escape: str) -> None:
    for index, (name, default) in enumerate(arg.pairs):
        state.declared.add(name)
        if default is not None:
            state.values[name] = _default(arg, index, state.values, escape)
        elif name in global_values:
            state.values[name] = global_values[name]


def _default(arg: Arg, index: int, values: Mapping[str, str], escape: str) -> str:
    try:
        return expanded_default(arg, index, values.get, escape)[0] or ""
    except DockerfileError:
        return ""


def _ports(expose: Expose, state: _State, escape: str) -> Iterator[Finding]:
    for spec in (spec for port in expose.ports for spec in expand_words(port, state.values.get, escape)):
        address, host_port, _, protocol = split_port(spec)
        if protocol != protocol.lower():
            message = f"Defined protocol '{spec}' in EXPOSE instruction should be lowercase"
            yield Finding(name="ExposeProtoCasing", location=expose.location, message=message)
        if address or host_port:
            message = f"EXPOSE instruction should not define an IP address or host-port mapping, found '{spec}'"
            yield Finding(name="ExposeInvalidFormat", location=expose.location, message=message)
