"""What every command has around it: arguments, renderer, redaction, signals, and errors that become exit codes."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from builder.cli.arguments import Arguments, parse
from builder.cli.display import show
from builder.cli.flags import Flag
from builder.cli.options import MessageOptions
from builder.cli.read_options import message_options, state_dir
from builder.cli.redaction import Redactor, secrets_of
from builder.cli.render.choose import choose
from builder.cli.render.sink import Renderer
from builder.cli.signals import StopSignals
from builder.errors import BuilderError


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """One run of a command.

    Attributes:
        progress: takes the events; also shows the error at the end.
        redactor: takes secrets as they become known.
        environment: the process's, as it was at the start.
        signals: takes what is to be stopped when one comes.
    """

    arguments: Arguments
    progress: Renderer
    redactor: Redactor
    environment: Mapping[str, str]
    signals: StopSignals


def run(command: str, flags: Sequence[Flag], argv: Sequence[str], body: Callable[[Session], int]) -> int:
    """Parse `argv`, run `body`, show the error it ends with. Returns the exit code and raises nothing."""
    environment = dict(os.environ)
    redactor = Redactor(secrets_of(environment))
    quiet = MessageOptions()
    try:
        arguments = parse(flags, argv, environment)
        messages = quiet if arguments.switch("help") else message_options(arguments)
    except BuilderError as error:
        return _fail(error, quiet, redactor, environment)
    if arguments.switch("help"):
        return _help(command, flags)
    progress = choose(messages, _standard_error(), redactor, environment)
    session = Session(
        arguments=arguments, progress=progress, redactor=redactor, environment=environment, signals=StopSignals()
    )
    debugging = messages.verbosity in ("debug", "trace")
    return _guarded(session, body, debugging=debugging)


def _guarded(session: Session, body: Callable[[Session], int], *, debugging: bool) -> int:
    signals = session.signals
    directory = state_dir(session.arguments, session.environment)
    try:
        try:
            with signals:
                return body(session)
        except Exception as error:
            # a child that the signal has ended makes another error of it on the way
            shown = signals.received or error
            return show(shown, session.progress, session.redactor, state_dir=directory, debugging=debugging)
    finally:
        session.progress.close()


def fail(error: BuilderError) -> int:
    """Show an error that came before there was a session; returns the exit code."""
    return _fail(error, MessageOptions(), Redactor(), dict(os.environ))


def _fail(error: BuilderError, messages: MessageOptions, redactor: Redactor, environment: Mapping[str, str]) -> int:
    renderer = choose(messages, _standard_error(), redactor, environment)
    return show(error, renderer, redactor, state_dir=Path(), debugging=False)


def _help(command: str, flags: Sequence[Flag]) -> int:
    from builder.cli.help import command_help

    print(command_help(command, flags), flush=True)
    return 0


def _standard_error() -> TextIO:
    """Python has none where the descriptor was closed when the process started."""
    return sys.stderr or open(os.devnull, "w", encoding="utf-8")
