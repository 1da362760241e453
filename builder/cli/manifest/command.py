"""Which of the ``manifest`` commands is meant."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from builder.cli import session
from builder.cli.flags import Flag
from builder.cli.manifest.flags import CREATE_FLAGS, INSPECT_FLAGS, PUSH_FLAGS
from builder.cli.session import Session
from builder.errors import UsageError


class _Command(NamedTuple):
    flags: Sequence[Flag]
    body: Callable[[Session], int]


def run(argv: Sequence[str]) -> int:
    """Run ``builder manifest ARGV`` and return the exit code; raises nothing."""
    name = argv[0] if argv else ""
    if name in ("", "-h", "--help", "help"):
        return _help()
    command = _commands().get(name)
    if command is None:
        known = ", ".join(f"manifest {each}" for each in _commands())
        return session.fail(UsageError(f"there is no command `manifest {name}`", hint=f"commands: {known}"))
    return session.run(f"manifest {name}", command.flags, list(argv[1:]), command.body)


def _commands() -> dict[str, _Command]:
    return {
        "create": _Command(CREATE_FLAGS, _create),
        "push": _Command(PUSH_FLAGS, _push),
        "inspect": _Command(INSPECT_FLAGS, _inspect),
    }


def _create(session: Session) -> int:
    from builder.cli.manifest.create import create

    return create(session)


def _push(session: Session) -> int:
    from builder.cli.manifest.push import push

    return push(session)


def _inspect(session: Session) -> int:
    from builder.cli.manifest.inspect import inspect

    return inspect(session)


def _help() -> int:
    from builder.cli.help import usage

    lines = [line.strip() for name in _commands() for line in usage(f"manifest {name}").splitlines()]
    print("\n".join(["Usage:", *(f"  {line}" for line in lines), "", "Each has its own --help."]), flush=True)
    return 0
