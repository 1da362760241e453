"""HEALTHCHECK."""

from __future__ import annotations

from dataclasses import replace

from builder.dockerfile.durations import InvalidDuration, healthcheck_duration
from builder.dockerfile.instructions.flags import Flags
from builder.dockerfile.instructions.parts import Parts
from builder.dockerfile.syntax import Healthcheck
from builder.dockerfile.tokens import Token, stripped
from builder.dockerfile.whitespace import is_space

_DURATIONS = ("interval", "timeout", "start-period", "start-interval")


def parse_healthcheck(parts: Parts) -> Healthcheck:
    flags = Flags(parts, texts=(*_DURATIONS, "retries"))
    kind, arguments = _kind(parts)
    if kind.text.upper() == "NONE":
        if arguments.rest.text:
            raise parts.error("HEALTHCHECK NONE takes no arguments", arguments.rest)
        return Healthcheck(command=None, **parts.place)
    if kind.text.upper() != "CMD":
        raise parts.error(
            f"unknown type {kind.text!r} in HEALTHCHECK", kind, "write HEALTHCHECK CMD or HEALTHCHECK NONE"
        )
    command = arguments.command()
    if not any(command.words):
        raise parts.error("missing command after HEALTHCHECK CMD", kind)
    interval, timeout, start_period, start_interval = (_duration(parts, flags, name) for name in _DURATIONS)
    return Healthcheck(
        command=command,
        interval=interval,
        timeout=timeout,
        start_period=start_period,
        start_interval=start_interval,
        retries=_retries(parts, flags.token("retries")),
        **parts.place,
    )


def _kind(parts: Parts) -> tuple[Token, Parts]:
    """CMD or NONE, and the instruction with that taken away."""
    rest = parts.rest
    if not rest.text:
        raise parts.error(
            "HEALTHCHECK requires at least one argument", hint="write HEALTHCHECK CMD or HEALTHCHECK NONE"
        )
    length = next((index for index, character in enumerate(rest.text) if is_space(character)), len(rest.text))
    kind = Token(rest.text[:length], rest.start, rest.start + length)
    return kind, replace(parts, rest=stripped(parts.line.text, kind.end, rest.end))


def _duration(parts: Parts, flags: Flags, name: str) -> int:
    token = flags.token(name)
    if token is None:
        return 0
    try:
        return healthcheck_duration(token.text)
    except InvalidDuration as error:
        raise parts.error(f"--{name}: {error.message}", token, error.hint) from None


def _retries(parts: Parts, token: Token | None) -> int:
    if token is None:
        return 0
    digits = token.text.removeprefix("+").removeprefix("-")
    if not (digits.isascii() and digits.isdecimal()) or len(digits) > 10 or int(digits) >= 1 << 31:
        raise parts.error(f"--retries: {token.text!r} is not a number", token)
    if token.text.startswith("-") and int(digits):
        raise parts.error(f"--retries cannot be negative ({token.text})", token)
    return int(digits)
