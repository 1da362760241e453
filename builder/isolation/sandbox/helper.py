"""The helper: forked before the builder has threads, it forks a supervisor for each command.

One supervisor is always ready: it has made its namespaces and all mounts that commands have in common.
"""

from __future__ import annotations

import gc
import os
import select
import signal
import socket
from collections.abc import Callable, Collection
from contextlib import ExitStack, suppress
from typing import NamedTuple, NoReturn

from builder.isolation.advice import describe
from builder.isolation.sandbox.namespaces import proc_can_be_mounted
from builder.isolation.sandbox.protocol import NEW, OPENED, REFUSED
from builder.isolation.sandbox.settings import Settings
from builder.isolation.sandbox.signals import ignore_stop_signals
from builder.isolation.sandbox.supervisor import supervise as supervise_in_namespaces
from builder.linux import capabilities
from builder.linux.processes import die_with_parent, erase_arguments

_GRACE_MILLISECONDS = 5000


Supervise = Callable[[socket.socket, int, int, Settings], None]
"""What a supervisor does: with its control socket and the command's stdout and stderr."""


def serve(
    channel: socket.socket, builder: int, settings: Settings, supervise: Supervise = supervise_in_namespaces
) -> NoReturn:
    """Be the helper of the process `builder` until that quits or ends. `channel` is a SOCK_SEQPACKET socket."""
    with suppress(OSError):
        try:
            _detach(channel.fileno())
        except OSError as error:
            _refuse(channel, describe(error))
        if settings.user_xattr and not proc_can_be_mounted():
            settings = settings._replace(pid_namespace=False)
        helper = _Helper(channel, settings, supervise)
        try:
            helper.loop(_watch(builder))
        finally:
            helper.stop()
    os._exit(0)


def _refuse(channel: socket.socket, reason: str) -> NoReturn:
    while channel.recv(1) == NEW:
        channel.send(REFUSED + os.fsencode(reason))
    os._exit(0)


def _detach(channel: int) -> None:
    """Let go of what belongs to the builder: terminal, signals, descriptors, arguments, directory, capabilities."""
    import pickle  # noqa: F401  (once, for all supervisors)

    os.setsid()
    ignore_stop_signals()
    null = os.open("/dev/null", os.O_RDWR)
    for descriptor in range(3):
        os.dup2(null, descriptor)
    close_all_but({0, 1, 2, channel})
    os.chdir("/")
    os.umask(0o022)
    capabilities.limit(capabilities.CONTAINER_DEFAULT)
    with suppress(OSError, ValueError, IndexError):
        erase_arguments(b"builder: sandbox")
    gc.disable()
    gc.freeze()


def _watch(builder: int) -> int | None:
    """A descriptor that is readable once the builder has ended; None before Linux 5.3 (the channel's end remains)."""
    try:
        descriptor = os.pidfd_open(builder)
    except OSError:
        return None
    if os.getppid() != builder:
        os._exit(0)
    return descriptor


class _Supervisor(NamedTuple):
    """A supervisor and its ends of what it shares with the builder; `ended` is readable once it has ended."""

    pid: int
    control: socket.socket
    ended: int


class _Spare(NamedTuple):
    """A supervisor that waits for its request, and the builder's ends."""

    supervisor: _Supervisor
    control: socket.socket
    stdout: int
    stderr: int

    def close(self) -> None:
        self.control.close()
        os.close(self.stdout)
        os.close(self.stderr)


class _Helper:
    """The supervisors there are, by their `ended`."""

    def __init__(self, channel: socket.socket, settings: Settings, supervise: Supervise) -> None:
        self._channel, self._settings, self._supervise = channel, settings, supervise
        self._supervisors: dict[int, _Supervisor] = {}
        self._spare: _Spare | None = None
        self._poll = select.poll()

    def loop(self, builder: int | None) -> None:
        """Serve until the builder quits or ends."""
        for descriptor in (self._channel.fileno(), builder):
            if descriptor is not None:
                self._poll.register(descriptor, select.POLLIN)
        self._keep_spare()
        while True:
            for descriptor, _ in self._poll.poll():
                if descriptor in self._supervisors:
                    self._reap(descriptor)
                    self._keep_spare()
                elif descriptor == builder or self._channel.recv(1) != NEW:
                    return
                else:
                    self._hand_over()
                    self._keep_spare()

    def stop(self) -> None:
        """End all supervisors, and with them the commands."""
        for supervisor in self._supervisors.values():
            with suppress(OSError):
                supervisor.control.shutdown(socket.SHUT_RD)  # which the supervisor reads as the builder's end
        for descriptor, supervisor in list(self._supervisors.items()):
            poll = select.poll()
            poll.register(descriptor, select.POLLIN)
            if not poll.poll(_GRACE_MILLISECONDS):
                os.kill(supervisor.pid, signal.SIGKILL)
            self._reap(descriptor)

    def _reap(self, descriptor: int) -> None:
        """Closing `control` last tells the builder that the supervisor is gone."""
        self._poll.unregister(descriptor)
        supervisor = self._supervisors.pop(descriptor)
        os.waitpid(supervisor.pid, 0)
        os.close(descriptor)
        supervisor.control.close()

    def _hand_over(self) -> None:
        """Give the spare supervisor to the builder. The next one gets ready while the command runs."""
        try:
            spare = self._spare or self._fork()
        except OSError as error:
            self._channel.send(REFUSED + os.fsencode(describe(error)))
            return
        self._spare = None
        socket.send_fds(self._channel, [OPENED], [spare.control.fileno(), spare.stdout, spare.stderr])
        spare.close()

    def _keep_spare(self) -> None:
        """See to it that one supervisor is waiting; if it has ended, it has said why to whom it is given."""
        if self._spare is None:
            with suppress(OSError):  # `_hand_over` will say it
                self._spare = self._fork()

    def _fork(self) -> _Spare:
        with ExitStack() as ours, ExitStack() as failed:
            control, builders_control = socket.socketpair()
            stdout, stdout_write = _pipe(ours, failed)
            stderr, stderr_write = _pipe(ours, failed)
            ended, alive = _pipe(ours, failed)
            pid = self._fork_supervisor(control, stdout_write, stderr_write, alive)
            failed.pop_all()
        supervisor = _Supervisor(pid, control, ended)
        self._supervisors[ended] = supervisor
        self._poll.register(ended, select.POLLIN)
        return _Spare(supervisor, builders_control, stdout, stderr)

    def _fork_supervisor(self, control: socket.socket, stdout: int, stderr: int, alive: int) -> int:
        helper = os.getpid()
        pid = os.fork()
        if pid == 0:
            close_all_but({0, 1, 2, control.fileno(), stdout, stderr, alive})
            die_with_parent()
            if os.getppid() == helper:
                self._supervise(control, stdout, stderr, self._settings)
            os._exit(0)
        return pid


def _pipe(ours: ExitStack, failed: ExitStack) -> tuple[int, int]:
    """A pipe whose write end is closed with `ours`, the read end with `failed`."""
    read, write = os.pipe()
    failed.callback(os.close, read)
    ours.callback(os.close, write)
    return read, write


def close_all_but(kept: Collection[int]) -> None:
    """Close every other descriptor of this process."""
    first = 0
    for descriptor in (*sorted(kept), 2**31 - 1):
        if first < descriptor:  # an empty range would close everything (Python 3.11)
            os.closerange(first, descriptor)
        first = descriptor + 1
