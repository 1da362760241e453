"""Command-line arguments to flag values, by the rules of Go's pflag, which kaniko uses."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple, cast

from builder.cli.flags import Flag, Value
from builder.cli.go_values import boolean, duration, integer
from builder.errors import NotSupportedYet, UsageError


class Arguments(NamedTuple):
    """What a command line says.

    Attributes:
        values: flag name to value, defaults filled in.
        given: names of the flags that the command line or the environment set.
        positional: the arguments that are no flags, in order.
        notes: what to say at debug level (old spellings, flags without effect).
    """

    values: Mapping[str, Value]
    given: frozenset[str]
    positional: tuple[str, ...]
    notes: tuple[str, ...]

    def text(self, name: str) -> str:
        return cast(str, self.values[name])

    def switch(self, name: str) -> bool:
        return cast(bool, self.values[name])

    def number(self, name: str) -> int:
        """An integer, or a duration in nanoseconds."""
        return cast(int, self.values[name])

    def many(self, name: str) -> tuple[str, ...]:
        return cast("tuple[str, ...]", self.values[name])


def parse(flags: Sequence[Flag], argv: Iterable[str], environment: Mapping[str, str]) -> Arguments:
    """Parse `argv` (without the program's name).

    ``--flag value``, ``--flag=value``, ``-f value``, ``-fvalue``, ``-f=value`` and combined letters of booleans; a
    boolean takes a value only after ``=``. ``--`` ends the flags. The last of a repeated flag wins, repeatable ones
    collect. Raises UsageError for an unknown flag, a missing or bad value.
    """
    parser = _Parser(flags)
    parser.read(list(argv))
    if parser.values.get("help"):
        return parser.result()
    parser.read_environment(environment)
    return parser.result()


def refuse_later(flags: Sequence[Flag], arguments: Arguments) -> None:
    """Raises NotSupportedYet if a flag whose part does not exist yet asks for something."""
    for flag in flags:
        value = arguments.values[flag.name]
        asks = any(value) if isinstance(value, tuple) else value != flag.default
        if flag.status == "later" and asks:
            raise NotSupportedYet(f"--{flag.name}")


class _Parser:
    def __init__(self, flags: Sequence[Flag]) -> None:
        self._flags = flags
        self._long = {spelling: flag for flag in flags for spelling in (flag.name, *flag.old)}
        self._short = {flag.short: flag for flag in flags if flag.short}
        self.values: dict[str, Value] = {}
        self._positional: list[str] = []
        self._notes: dict[str, None] = {}

    def result(self) -> Arguments:
        defaults = {flag.name: flag.default for flag in self._flags}
        return Arguments(defaults | self.values, frozenset(self.values), tuple(self._positional), tuple(self._notes))

    def read(self, argv: list[str]) -> None:
        while argv:
            argument = argv.pop(0)
            if argument == "--":
                self._positional += argv
                return
            if argument.startswith("--"):
                self._read_long(argument[2:], argv)
            elif argument.startswith("-") and argument != "-":
                self._read_short(argument[1:], argv)
            else:
                self._positional.append(argument)

    def read_environment(self, environment: Mapping[str, str]) -> None:
        for flag in self._flags:
            value = environment.get(flag.environment, "") if flag.environment else ""
            if value and (flag.name not in self.values or flag.kind == "repeatable"):
                self._set(flag, value, flag.environment)

    def _read_long(self, text: str, rest: list[str]) -> None:
        name, equals, value = text.partition("=")
        flag = self._long.get(name)
        if flag is None:
            raise _unknown(f"--{name}", self._long)
        if name in flag.old:
            self._notes[f"--{name} is an old spelling of --{flag.name}"] = None
        self._set(flag, value if equals else _value(flag, f"--{name}", rest), f"--{name}")

    def _read_short(self, letters: str, rest: list[str]) -> None:
        while letters:
            letter, letters = letters[0], letters[1:]
            flag = self._short.get(letter)
            if flag is None:
                raise _unknown(f"-{letter}", self._long)
            if letters.startswith("=") or (letters and flag.kind != "boolean"):
                self._set(flag, letters.removeprefix("="), f"-{letter}")
                return
            self._set(flag, _value(flag, f"-{letter}", rest), f"-{letter}")

    def _set(self, flag: Flag, value: str, source: str) -> None:
        if flag.status == "no-op":
            self._notes[f"--{flag.name} has no effect"] = None
        parsed = _convert(flag, value, source)
        if flag.kind == "repeatable":
            parsed = (*cast("tuple[str, ...]", self.values.get(flag.name, ())), value)
        self.values[flag.name] = parsed


def _value(flag: Flag, spelling: str, rest: list[str]) -> str:
    if flag.kind == "boolean":
        return "true"
    if not rest:
        raise UsageError(f"{spelling} needs a value: {spelling} {flag.metavar}")
    return rest.pop(0)


def _convert(flag: Flag, value: str, source: str) -> Value:
    if flag.kind == "boolean":
        return boolean(value, source)
    if flag.kind == "integer":
        return integer(value, source)
    return duration(value, source) if flag.kind == "duration" else value


def _unknown(spelling: str, known: Iterable[str]) -> UsageError:
    from difflib import get_close_matches

    near = get_close_matches(spelling.lstrip("-"), list(known), n=1, cutoff=0.5) if len(spelling) > 2 else []
    hint = f"did you mean --{near[0]}?" if near else "`builder help` lists the flags"
    return UsageError(f"unknown flag {spelling}", hint=hint)
