"""The supervisor of one command: makes its surroundings, waits for its end, and ends it when the builder goes."""

from __future__ import annotations

import os
import select
import signal
import socket
from contextlib import suppress
from typing import NamedTuple

from builder.errors import IsolationError
from builder.isolation.advice import isolation_error
from builder.isolation.command import Command
from builder.isolation.sandbox import protocol
from builder.isolation.sandbox.init import Streams, run_init
from builder.isolation.sandbox.kernel_files import make_stage, surroundings
from builder.isolation.sandbox.mounts import perform
from builder.isolation.sandbox.namespaces import enter_namespaces
from builder.isolation.sandbox.overlay_probe import probe_overlay
from builder.isolation.sandbox.protocol import Exited, Failed, OverlayVerdict, ProbeOverlay, Start, Stubs
from builder.isolation.sandbox.root import mount_root
from builder.isolation.sandbox.settings import Settings
from builder.isolation.sandbox.targets import Root
from builder.linux.processes import become_subreaper, end_descendants


class _Init(NamedTuple):
    """The waiting process 1: `inbox` takes its Start, `failures` is closed when it has ended."""

    pid: int
    inbox: socket.socket
    failures: int


def supervise(control: socket.socket, stdout: int, stderr: int, settings: Settings) -> None:
    """Get all ready that commands have in common, then take one request from the builder and answer it.

    The answer is sent when every process that was started is gone; mounts go when this process ends.
    """
    try:
        enter_namespaces(settings)
        stage = make_stage()
        init = _fork_init(control, stage, (stdout, stderr), settings)
        reply = _answer(protocol.receive(control), control, stage, init, settings)
    except EOFError:
        return
    except IsolationError as error:
        reply = Failed.of(error)
    except OSError as error:
        reply = Failed.of(isolation_error(error, "cannot prepare the sandbox of the command"))
    except Exception as error:
        reply = Failed.bug(error)
    with suppress(OSError):
        control.sendall(protocol.pack(reply))


def _fork_init(control: socket.socket, stage: Root, output: tuple[int, int], settings: Settings) -> _Init:
    if not settings.pid_namespace:
        become_subreaper()
    inbox, its_inbox = socket.socketpair()
    failures, failures_write = os.pipe()
    pid = os.fork()
    if pid == 0:
        control.close()
        inbox.close()
        os.close(failures)
        run_init(its_inbox, stage, Streams(*output, failures_write), settings)
    its_inbox.close()
    for descriptor in (*output, failures_write):
        os.close(descriptor)
    return _Init(pid, inbox, failures)


def _answer(
    request: object, control: socket.socket, stage: Root, init: _Init, settings: Settings
) -> OverlayVerdict | Exited | Failed:
    if isinstance(request, ProbeOverlay):
        return OverlayVerdict(probe_overlay(request.directory, user_xattr=settings.user_xattr))
    if isinstance(request, Command):
        _check(request, settings)
        if init.inbox.recv(1):
            _prepare(request, control, stage, init, settings)
        return _wait(init, control, settings)
    raise TypeError(f"{type(request).__name__} is not a request")


def _prepare(command: Command, control: socket.socket, stage: Root, init: _Init, settings: Settings) -> None:
    """Mount everything and have init start the command."""
    root = mount_root(command.root, user_xattr=settings.user_xattr)
    try:
        for action in surroundings(command, stage):
            perform(action, root)
    finally:
        control.sendall(protocol.pack(Stubs(tuple(root.stubs))))
    with suppress(BrokenPipeError):  # init says why in `failures`
        init.inbox.sendall(protocol.pack(Start(command, root.path)))


def _wait(init: _Init, control: socket.socket, settings: Settings) -> Exited | Failed:
    """Wait for init to end, which is when the last writer of `failures` is gone; kill it if the builder hangs up."""
    poll = select.poll()
    poll.register(init.failures, select.POLLIN)
    poll.register(control, select.POLLIN)
    failure = bytearray()
    while True:
        ready = {descriptor for descriptor, _ in poll.poll()}
        if control.fileno() in ready:
            poll.unregister(control)
            os.kill(init.pid, signal.SIGKILL)
        if init.failures in ready:
            chunk = os.read(init.failures, 65536)
            if not chunk:
                break
            failure += chunk
    status = os.waitstatus_to_exitcode(os.waitpid(init.pid, 0)[1])
    if not settings.pid_namespace:
        end_descendants()
    for reported in protocol.unpack(bytes(failure)):
        if isinstance(reported, Failed):
            return reported
    return Exited(status if status >= 0 else 128 - status)


def _check(command: Command, settings: Settings) -> None:
    """Raises IsolationError for what is known to be impossible, before anything is made."""
    ids = settings.id_map
    for what, number, known in (
        ("user", command.uid, ids.has_uid(command.uid)),
        *(("group", gid, ids.has_gid(gid)) for gid in (command.gid, *command.groups)),
    ):
        if not known:
            raise IsolationError(f"cannot run as {what} {number}: the id is not mapped here", hint=ids.explanation)
    for wish in command.mounts:
        path = os.path.normpath("/" + wish.target.lstrip("/"))
        if path == "/" or (path + "/").startswith("/proc/"):
            raise IsolationError(f"cannot mount on {wish.target}: {path} belongs to the sandbox")
