"""RUN."""

from __future__ import annotations

from builder.dockerfile.errors import did_you_mean
from builder.dockerfile.instructions.flags import Flags
from builder.dockerfile.instructions.parts import Parts
from builder.dockerfile.mounts import InvalidMount, parse_mount
from builder.dockerfile.syntax import Mount, Run
from builder.dockerfile.tokens import Token

_NETWORKS = ("default", "none", "host")
_SECURITY = ("sandbox", "insecure")


def parse_run(parts: Parts) -> Run:
    flags = Flags(parts, texts=("network", "security"), lists=("mount",))
    command = parts.command()
    if not command.shell and not command.words:
        raise parts.error("RUN requires at least one argument", parts.rest)
    return Run(
        command=command,
        heredocs=parts.line.heredocs,
        mounts=tuple(_mount(parts, token) for token in flags.list("mount")),
        network=_one_of(parts, flags.token("network"), "network", _NETWORKS),
        security=_one_of(parts, flags.token("security"), "security", _SECURITY),
        **parts.place,
    )


def _mount(parts: Parts, token: Token) -> Mount:
    try:
        return parse_mount(token.text)
    except InvalidMount as error:
        found = parts.line.text.find(error.fragment, token.start, token.end) if error.fragment else -1
        at = Token("", found, found + len(error.fragment)) if found >= 0 else token
        raise parts.error(f"--mount: {error.message}", at, error.hint) from None


def _one_of(parts: Parts, token: Token | None, name: str, values: tuple[str, ...]) -> str | None:
    if token is None or token.text in values:
        return token.text if token else None
    hint = did_you_mean(token.text, values) or f"it is one of {', '.join(values)}"
    raise parts.error(f"--{name}: unsupported value {token.text!r}", token, hint)
