"""The protocol of an isolation: a place where commands run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from builder.errors import IsolationError
from builder.isolation.command import Command

Output = Callable[[int, bytes], None]
"""Takes a line of the command's output: the stream (1 or 2) and the bytes without their newline."""


class Cancelled(IsolationError):
    """`cancel_all` ended the command, or came before it."""

    def __init__(self) -> None:
        super().__init__("the command was cancelled")


class Isolation(Protocol):
    """Runs commands. All methods may be called from several threads at once."""

    name: str

    def supports_overlay(self, directory: Path) -> bool:
        """Whether an OverlayRoot with its upper directory below `directory` works. Tried once, then remembered."""
        ...

    def run(self, command: Command, output: Output) -> int:
        """Run `command` to its end and give its exit status, 128 + n if signal n ended it.

        `output` is called in the thread that called `run`, as lines come; a line longer than 64 KiB comes in pieces, a
        last one without a newline comes too. Nothing that the command started lives on, and nothing it mounted stays,
        when `run` returns or raises; an exception in the calling thread (from `output` or a signal handler) ends it.

        Raises:
            IsolationError: the command could not be started; the message says which system call failed on what.
            Cancelled: `cancel_all` was called.
        """
        ...

    def cancel_all(self) -> None:
        """End all running commands and refuse new ones; `run` raises Cancelled. Fit for a signal handler."""
        ...

    def resume(self) -> None:
        """Take commands again after `cancel_all`."""
        ...

    def close(self) -> None:
        """End everything that belongs to the isolation. Nothing may be run afterwards."""
        ...
