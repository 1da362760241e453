"""The supervisor of one command in place: starts it, waits, and ends whatever the command leaves behind."""

from __future__ import annotations

import os
import select
import signal
import socket
from contextlib import ExitStack, suppress
from typing import NoReturn

from builder.errors import IsolationError
from builder.isolation.advice import isolation_error
from builder.isolation.command import Command, DirectoryRoot, SecretFile
from builder.isolation.in_place.memory import written
from builder.isolation.sandbox import protocol
from builder.isolation.sandbox.execute import execute
from builder.isolation.sandbox.init import Reported
from builder.isolation.sandbox.protocol import Exited, Failed
from builder.isolation.sandbox.settings import Settings
from builder.linux.processes import become_subreaper, die_with_parent, end_descendants


def supervise(control: socket.socket, stdout: int, stderr: int, settings: Settings) -> None:
    """Take one request from the builder and answer it when no process of the command is left."""
    reply: Exited | Failed
    try:
        become_subreaper()
        request = protocol.receive(control)
        if not isinstance(request, Command):
            raise TypeError(f"{type(request).__name__} is not a request")
        with ExitStack() as stack:
            for secret in request.mounts:
                assert isinstance(secret, SecretFile)  # other mounts are made before
                stack.enter_context(written(secret))
            reply = _run(request, control, stdout, stderr, settings)
    except EOFError:
        return
    except IsolationError as error:
        reply = Failed.of(error)
    except OSError as error:
        reply = Failed.of(isolation_error(error, "cannot start the command"))
    except Exception as error:
        reply = Failed.bug(error)
    with suppress(OSError):
        control.sendall(protocol.pack(reply))


def _run(command: Command, control: socket.socket, stdout: int, stderr: int, settings: Settings) -> Exited | Failed:
    failures, failures_write = os.pipe()
    pid = os.fork()
    if pid == 0:
        control.close()
        os.close(failures)
        _be_command(command, stdout, stderr, failures_write, settings)
    for descriptor in (stdout, stderr, failures_write):
        os.close(descriptor)
    status = _wait(pid, control)
    end_descendants()
    with open(failures, "rb") as stream:
        for reported in protocol.unpack(stream.read()):
            if isinstance(reported, Failed):
                return reported
    return Exited(status)


def _be_command(command: Command, stdout: int, stderr: int, failures: int, settings: Settings) -> NoReturn:
    with Reported(failures):
        die_with_parent()
        assert isinstance(command.root, DirectoryRoot)
        if os.path.normpath(command.root.path) != "/":
            os.chroot(command.root.path)
        execute(command, stdout, stderr, set_groups=not settings.id_map.single_group)
    os._exit(1)


def _wait(pid: int, control: socket.socket) -> int:
    """Reap until the command has ended; kill it if the builder hangs up. Returns its status, 128 + n for signal n."""
    # SIGCHLD is made readable instead of a pidfd, which gVisor and kernels before 5.3 lack.
    wakes, wake = os.pipe()
    for descriptor in (wakes, wake):
        os.set_blocking(descriptor, False)
    signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    poll = select.poll()
    poll.register(wakes, select.POLLIN)
    poll.register(control, select.POLLIN)
    while (status := _reap(pid)) is None:
        ready = {descriptor for descriptor, _ in poll.poll()}
        if wakes in ready:
            os.read(wakes, 4096)
        if control.fileno() in ready:
            poll.unregister(control)
            os.kill(pid, signal.SIGKILL)
    return status


def _reap(pid: int) -> int | None:
    """Reap all children that have ended; the status of `pid` if that was one of them."""
    while True:
        ended, status = os.waitpid(-1, os.WNOHANG)
        if ended == pid:
            code = os.waitstatus_to_exitcode(status)
            return code if code >= 0 else 128 - code
        if not ended:
            return None
