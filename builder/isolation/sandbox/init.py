"""Process 1 of a command's pid namespace: mounts /proc, starts the command, reaps, and ends with it."""

from __future__ import annotations

import os
import select
import socket
from contextlib import suppress
from typing import NamedTuple, NoReturn

from builder.errors import IsolationError
from builder.isolation.advice import isolation_error
from builder.isolation.command import Command
from builder.isolation.sandbox import protocol
from builder.isolation.sandbox.execute import execute
from builder.isolation.sandbox.kernel_files import stage_proc
from builder.isolation.sandbox.namespaces import enter_network
from builder.isolation.sandbox.protocol import Failed, Start
from builder.isolation.sandbox.root import pivot
from builder.isolation.sandbox.settings import Settings
from builder.isolation.sandbox.targets import Root
from builder.linux.namespaces import join_new_session_keyring
from builder.linux.processes import die_with_parent, forbid_inspection

READY = b"r"


class Streams(NamedTuple):
    """Descriptors of the command's output, and of the pipe that takes a pickled Failed."""

    stdout: int
    stderr: int
    failures: int


def run_init(inbox: socket.socket, stage: Root, streams: Streams, settings: Settings) -> NoReturn:
    """Get ready, wait for Start, run the command and exit with its status (128 + n for signal n).

    In a pid namespace the kernel then ends all that is left in it.
    """
    with Reported(streams.failures):
        die_with_parent()
        _stop_if_orphaned(streams.failures)
        stage_proc(stage, own=settings.pid_namespace)
        with suppress(OSError):  # a container's filter may forbid it, or the kernel lack it
            join_new_session_keyring()
        inbox.send(READY)
        start = _await_start(inbox)
        enter_network(start.command)
        pivot(start.root)
        forbid_inspection()
        pid = os.fork()
        if pid == 0:
            _be_command(start.command, streams, settings)
        os.close(streams.stdout)
        os.close(streams.stderr)
        os._exit(_reap_until(pid))
    os._exit(1)


class Reported:
    """Sends what goes wrong inside to the supervisor, and ends the process."""

    def __init__(self, failures: int) -> None:
        self._failures = failures

    def __enter__(self) -> None:
        return

    def __exit__(self, _kind: object, error: BaseException | None, _where: object) -> None:
        if error is None:
            return
        if isinstance(error, IsolationError):
            failure = Failed.of(error)
        elif isinstance(error, OSError):
            failure = Failed.of(isolation_error(error, "cannot start the command in its sandbox"))
        else:
            failure = Failed.bug(error)
        os.write(self._failures, protocol.pack(failure))
        os._exit(1)


def _await_start(inbox: socket.socket) -> Start:
    try:
        start = protocol.receive(inbox)
    except EOFError:
        os._exit(1)  # nothing is to be run any more
    if not isinstance(start, Start):
        raise TypeError(f"{type(start).__name__} is no Start")
    inbox.close()
    return start


def _be_command(command: Command, streams: Streams, settings: Settings) -> NoReturn:
    with Reported(streams.failures):
        die_with_parent()
        execute(command, streams.stdout, streams.stderr, set_groups=not settings.id_map.single_group)
    os._exit(1)


def _stop_if_orphaned(failures: int) -> None:
    """The supervisor may have ended before `die_with_parent`; process 1 cannot see that by getppid."""
    poll = select.poll()
    poll.register(failures, 0)
    if poll.poll(0):  # POLLERR: nobody is left to read
        os._exit(1)


def _reap_until(pid: int) -> int:
    """Wait for processes to end, orphans too, until `pid` does; returns its status."""
    while True:
        ended, status = os.waitpid(-1, 0)
        if ended == pid:
            code = os.waitstatus_to_exitcode(status)
            return code if code >= 0 else 128 - code
