"""The entry point: which subcommand the arguments name.

It imports next to nothing, so that ``builder version`` and a mistyped command answer at once.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

COMMANDS = ("build", "push", "login", "warm", "manifest", "prune", "du", "version", "help")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code: 0, 1 for an error, 128 + number for a signal.

    Args:
        argv: the arguments without the program's name; None for those of the process, whose name counts, too
            (``warmer`` means the subcommand ``warm``); it ends here if there are threads that still run.
    """
    if argv is not None:
        return main_as("", argv)
    status = main_as(sys.argv[0], sys.argv[1:])
    threading = sys.modules.get("threading")
    if threading and threading.active_count() > 1:
        _leave(status)
    return status


def main_as(program: str, argv: Sequence[str]) -> int:
    """Run the command line of a program of this name and return the exit code."""
    command, arguments = split(argv, program)
    try:
        return _run(command, arguments)
    except OSError as error:
        # all else is shown by the session: only the text of version and help goes to standard output, and failed
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        if isinstance(error, BrokenPipeError):
            return 0  # its reader has seen enough
        print(f"error: cannot write to standard output: {error.strerror}", file=sys.stderr)
        return 1


def _leave(status: int) -> None:
    """End the process without waiting for threads: one that hangs on a network must not hold up the end of a build."""
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(status)


def split(argv: Sequence[str], program: str) -> tuple[str, list[str]]:
    """The subcommand and its arguments; ``build`` where the first argument names none."""
    if os.path.basename(program) == "warmer":
        return "warm", list(argv)
    first = argv[0] if argv else ""
    if first in COMMANDS:
        return first, list(argv[1:])
    if first in ("-h", "--help"):
        return "help", []
    return ("version", []) if first == "--version" else ("build", list(argv))


def _run(command: str, arguments: list[str]) -> int:
    if command == "version":
        return _version()
    if command == "help":
        return _help(arguments)
    return _session(command, arguments)


def _version() -> int:
    from builder import __version__

    print(f"builder {__version__}", flush=True)
    return 0


def _help(arguments: list[str]) -> int:
    from builder.cli.flags import BUILD_FLAGS, PUSH_FLAGS
    from builder.cli.help import command_help, overview
    from builder.cli.login_flags import LOGIN_FLAGS
    from builder.cli.upkeep_flags import DU_FLAGS, PRUNE_FLAGS, WARM_FLAGS

    tables = {
        "build": BUILD_FLAGS,
        "push": PUSH_FLAGS,
        "login": LOGIN_FLAGS,
        "warm": WARM_FLAGS,
        "prune": PRUNE_FLAGS,
        "du": DU_FLAGS,
    }
    topic, *more = [argument for argument in arguments if not argument.startswith("-")] or [""]
    if topic == "manifest":
        from builder.cli.manifest.command import run

        return run([*more[:1], "--help"])
    if topic in tables:
        print(command_help(topic, tables[topic]), flush=True)
        return 0
    print(overview() + "\n" + command_help("build", BUILD_FLAGS), flush=True)
    return 0


def _session(command: str, arguments: list[str]) -> int:
    from builder.cli.startup import collect_rarely, compile_methods_late

    collect_rarely()
    compile_methods_late()
    from builder.cli import session
    from builder.cli.flags import BUILD_FLAGS, PUSH_FLAGS

    if command == "build":
        from builder.cli.build import build

        return session.run(command, BUILD_FLAGS, arguments, build)
    if command == "push":
        from builder.cli.push import push

        return session.run(command, PUSH_FLAGS, arguments, push)
    if command == "manifest":
        from builder.cli.manifest.command import run

        return run(arguments)
    if command == "warm":
        from builder.cli.upkeep_flags import WARM_FLAGS
        from builder.cli.warm import warm

        return session.run(command, WARM_FLAGS, arguments, warm)
    if command == "login":
        from builder.cli.login import login
        from builder.cli.login_flags import LOGIN_FLAGS

        return session.run(command, LOGIN_FLAGS, arguments, login)
    from builder.cli.prune import du, prune
    from builder.cli.upkeep_flags import DU_FLAGS, PRUNE_FLAGS

    flags, body = (PRUNE_FLAGS, prune) if command == "prune" else (DU_FLAGS, du)
    return session.run(command, flags, arguments, body)
