"""What the sandbox's processes do about signals."""

from __future__ import annotations

import signal

from builder.linux.signals import reset_internal_signals

# A terminal or service manager sends these to all: it is the builder that decides what becomes of its commands.
_IGNORED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE)


def ignore_stop_signals() -> None:
    """For the helper and those it forks: every other signal gets its default action, none is blocked."""
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        signal.signal(number, signal.SIG_IGN if number in _IGNORED else signal.SIG_DFL)
    reset_internal_signals()
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def restore_defaults() -> None:
    """For a command, in a process forked after `ignore_stop_signals`."""
    for number in _IGNORED:
        signal.signal(number, signal.SIG_DFL)
