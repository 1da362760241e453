"""Process 1 of a command's pid namespace: finishes the mounts, starts the command, reaps, and ends with it."""

from __future__ import annotations

import os
import pickle
import select
import traceback
from contextlib import suppress
from typing import NamedTuple, NoReturn

from builder.errors import IsolationError
from builder.isolation.advice import isolation_error
from builder.isolation.command import Command
from builder.isolation.sandbox.execute import execute
from builder.isolation.sandbox.kernel_files import proc_protection
from builder.isolation.sandbox.mounts import perform
from builder.isolation.sandbox.protocol import Failed
from builder.isolation.sandbox.root import pivot
from builder.isolation.sandbox.settings import Settings
from builder.isolation.sandbox.targets import Root, by_descriptor
from builder.linux.mount import MS_BIND, MS_NODEV, MS_NOEXEC, MS_NOSUID, MS_REC, mount
from builder.linux.namespaces import join_new_session_keyring
from builder.linux.processes import die_with_parent, forbid_inspection


class Streams(NamedTuple):
    """Descriptors of the command's output, and of the pipe that takes a pickled Failed."""

    stdout: int
    stderr: int
    failures: int


def run_init(command: Command, root: Root, proc: int, streams: Streams, settings: Settings) -> NoReturn:
    """Run the command and exit with its status (128 + n for signal n); in a pid namespace the kernel ends the rest."""
    with reported(streams.failures):
        die_with_parent()
        _stop_if_orphaned(streams.failures)
        _mount_proc(root, proc, own=settings.pid_namespace)
        pivot(root)
        os.close(root.descriptor)
        os.close(proc)
        with suppress(OSError):  # a container's filter may forbid it, or the kernel lack it
            join_new_session_keyring()
        forbid_inspection()
        pid = os.fork()
        if pid == 0:
            _be_command(command, streams, settings)
        os.close(streams.stdout)
        os.close(streams.stderr)
        os._exit(_reap_until(pid))
    os._exit(1)


class reported:  # noqa: N801  (a context manager, used like a function)
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
            failure = Failed("".join(traceback.format_exception(error)), bug=True)
        os.write(self._failures, pickle.dumps(failure))
        os._exit(1)


def _be_command(command: Command, streams: Streams, settings: Settings) -> NoReturn:
    with reported(streams.failures):
        die_with_parent()
        execute(command, streams.stdout, streams.stderr, set_groups=not settings.id_map.single_group)
    os._exit(1)


def _stop_if_orphaned(failures: int) -> None:
    """The supervisor may have ended before `die_with_parent`; process 1 cannot see that by getppid."""
    poll = select.poll()
    poll.register(failures, 0)
    if poll.poll(0):  # POLLERR: nobody is left to read
        os._exit(1)


def _mount_proc(root: Root, proc: int, *, own: bool) -> None:
    target = by_descriptor(proc)
    if own:
        mount("proc", target, "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC)
    else:
        mount("/proc", target, flags=MS_BIND | MS_REC)
    for action in proc_protection():
        perform(action, root)


def _reap_until(pid: int) -> int:
    """Wait for processes to end, orphans too, until `pid` does; returns its status."""
    while True:
        ended, status = os.waitpid(-1, 0)
        if ended == pid:
            code = os.waitstatus_to_exitcode(status)
            return code if code >= 0 else 128 - code
