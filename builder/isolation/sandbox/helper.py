"""The helper: forked before the builder has threads, it forks a supervisor for each command."""

from __future__ import annotations

import gc
import os
import select
import signal
import socket
from collections.abc import Collection
from contextlib import ExitStack, suppress
from typing import NamedTuple, NoReturn

from builder.isolation.advice import describe
from builder.isolation.sandbox.namespaces import proc_can_be_mounted
from builder.isolation.sandbox.settings import Settings
from builder.isolation.sandbox.supervisor import supervise
from builder.linux.processes import die_with_parent, erase_arguments

NEW, QUIT = b"n", b"q"
"""Requests of the builder."""

OPENED, REFUSED = b"o", b"r"
"""Answers to NEW. With the first come control socket, stdout and stderr of a command, after the other the reason."""

_GRACE_MILLISECONDS = 5000


class _Supervisor(NamedTuple):
    """`control` is the supervisor's own end of its socket to the builder."""

    pid: int
    control: socket.socket


def serve(channel: socket.socket, builder: int, settings: Settings) -> NoReturn:
    """Be the helper of the process `builder` until that quits or ends. `channel` is a SOCK_SEQPACKET socket."""
    _detach(channel.fileno())
    if settings.user_xattr and not proc_can_be_mounted():
        settings = replace(settings, pid_namespace=False)
    helper = _Helper(channel, settings)
    with suppress(OSError):
        helper.loop(_watch(builder))
    helper.stop()
    os._exit(0)


def _detach(channel: int) -> None:
    """Let go of what belongs to the builder: its terminal, signals, descriptors, arguments and directory."""
    os.setsid()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    null = os.open("/dev/null", os.O_RDWR)
    for descriptor in range(3):
        os.dup2(null, descriptor)
    close_all_but({0, 1, 2, channel})
    os.chdir("/")
    os.umask(0o022)
    gc.disable()
    with suppress(OSError, ValueError, IndexError):
        erase_arguments(b"builder: sandbox")


def _watch(builder: int) -> int | None:
    """A descriptor that is readable once the builder has ended; None before Linux 5.3 (the channel's end remains)."""
    try:
        descriptor = os.pidfd_open(builder)
    except OSError:
        return None
    if os.getppid() != builder:
        os._exit(0)
    return descriptor


class _Helper:
    """The supervisors that run, by a descriptor that is readable once they have ended."""

    def __init__(self, channel: socket.socket, settings: Settings) -> None:
        self._channel, self._settings = channel, settings
        self._running: dict[int, _Supervisor] = {}

    def loop(self, builder: int | None) -> None:
        """Serve until the builder quits or ends."""
        poll = select.poll()
        for descriptor in (self._channel.fileno(), builder):
            if descriptor is not None:
                poll.register(descriptor, select.POLLIN)
        while True:
            for descriptor, _ in poll.poll():
                if descriptor in self._running:
                    poll.unregister(descriptor)
                    self._reap(descriptor)
                elif descriptor == builder or self._channel.recv(1) != NEW:
                    return
                elif (opened := self._open()) is not None:
                    poll.register(opened, select.POLLIN)

    def stop(self) -> None:
        """End all supervisors, and with them the commands."""
        for supervisor in self._running.values():
            with suppress(OSError):
                supervisor.control.shutdown(socket.SHUT_RD)  # which the supervisor reads as the builder's end
        for descriptor in list(self._running):
            poll = select.poll()
            poll.register(descriptor, select.POLLIN)
            if not poll.poll(_GRACE_MILLISECONDS):
                os.kill(self._running[descriptor].pid, signal.SIGKILL)
            self._reap(descriptor)

    def _reap(self, descriptor: int) -> None:
        """Closing `control` last tells the builder that the supervisor, its namespaces and mounts are gone."""
        supervisor = self._running.pop(descriptor)
        os.waitpid(supervisor.pid, 0)
        os.close(descriptor)
        supervisor.control.close()

    def _open(self) -> int | None:
        """Fork a supervisor; returns what is readable once it has ended, None if there are not the means for one."""
        with ExitStack() as ends:
            try:
                control, builders_control = socket.socketpair()
                ends.enter_context(builders_control)
                stdout, stdout_write = _pipe(ends)
                stderr, stderr_write = _pipe(ends)
                ended, alive = os.pipe()
                ends.callback(os.close, alive)
                pid = self._fork(control, stdout_write, stderr_write, alive)
            except OSError as error:
                self._channel.send(REFUSED + describe(error).encode())
                return None
            self._running[ended] = _Supervisor(pid=pid, control=control)
            socket.send_fds(self._channel, [OPENED], [builders_control.fileno(), stdout, stderr])
        return ended

    def _fork(self, control: socket.socket, stdout: int, stderr: int, alive: int) -> int:
        helper = os.getpid()
        pid = os.fork()
        if pid == 0:
            close_all_but({0, 1, 2, control.fileno(), stdout, stderr, alive})
            die_with_parent()
            if os.getppid() == helper:
                supervise(control, stdout, stderr, self._settings)
            os._exit(0)
        return pid


def _pipe(ends: ExitStack) -> tuple[int, int]:
    """Both ends of a pipe, which are closed with `ends`."""
    read, write = os.pipe()
    ends.callback(os.close, read)
    ends.callback(os.close, write)
    return read, write


def close_all_but(kept: Collection[int]) -> None:
    """Close every other descriptor of this process."""
    first = 0
    for descriptor in (*sorted(kept), 2**31 - 1):
        if first < descriptor:  # an empty range would close everything (Python 3.11)
            os.closerange(first, descriptor)
        first = descriptor + 1
