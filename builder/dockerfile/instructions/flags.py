"""The flags of an instruction (``--chown=...``), checked against those that it has."""

from __future__ import annotations

from collections.abc import Sequence

from builder.dockerfile.errors import did_you_mean
from builder.dockerfile.instructions.parts import Parts
from builder.dockerfile.tokens import Token


class Flags:
    """The flags that were given.

    Raises DockerfileError on creation for a flag that the instruction does not have, that is there twice, or whose
    value is missing or no boolean.

    Args:
        parts: the instruction.
        texts: names of the flags that take a value.
        lists: those that take a value and may be repeated.
        booleans: those that are true or false.
    """

    def __init__(
        self, parts: Parts, *, texts: Sequence[str] = (), lists: Sequence[str] = (), booleans: Sequence[str] = ()
    ) -> None:
        self._texts: dict[str, Token] = {}
        self._lists: dict[str, list[Token]] = {name: [] for name in lists}
        self._booleans: dict[str, bool] = {}
        known = [*texts, *lists, *booleans]
        for token in parts.flags:
            name, equals, value = token.text[2:].partition("=")
            _check_known(parts, token, name, known)
            if name in self._texts or name in self._booleans:
                raise parts.error(f"flag --{name} is there twice", token)
            if name in booleans:
                self._booleans[name] = _boolean(parts, token, name, value if equals else None)
                continue
            if not equals:
                raise parts.error(f"flag --{name} needs a value", token, f"write --{name}=VALUE")
            # The place of the value: only where nothing was quoted is it surely at the end of the flag.
            valued = Token(value, max(token.start, token.end - len(value)), token.end)
            if name in self._lists:
                self._lists[name].append(valued)
            else:
                self._texts[name] = valued

    def token(self, name: str) -> Token | None:
        """A flag's value with its place; None where it was not given or is empty."""
        token = self._texts.get(name)
        return token if token and token.text else None

    def text(self, name: str) -> str | None:
        token = self.token(name)
        return token.text if token else None

    def list(self, name: str) -> Sequence[Token]:
        return self._lists[name]

    def boolean(self, name: str) -> bool | None:
        return self._booleans.get(name)


def no_flags(parts: Parts) -> None:
    """Raises DockerfileError if there is any flag."""
    Flags(parts)


def _check_known(parts: Parts, token: Token, name: str, known: Sequence[str]) -> None:
    if name in known:
        return
    near = did_you_mean(name, known)
    hint = near.replace("did you mean ", "did you mean --") if near else None
    if not known:
        hint = f"{parts.keyword} has no flags"
    elif hint is None:
        hint = f"{parts.keyword} has {', '.join(f'--{option}' for option in sorted(known))}"
    raise parts.error(f"unknown flag: --{name}", Token("", token.start, token.end), hint)


def _boolean(parts: Parts, token: Token, name: str, value: str | None) -> bool:
    if value is None:
        return True
    if not value:
        raise parts.error(f"flag --{name} needs a value behind =", token, "it is true or false")
    if value.lower() not in ("true", "false"):
        raise parts.error(f"flag --{name} is true or false, not {value!r}", token)
    return value.lower() == "true"
