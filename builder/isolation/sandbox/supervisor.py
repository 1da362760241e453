"""The supervisor of one command: makes its surroundings, waits for its end, and ends it when the builder goes."""

from __future__ import annotations

import os
import pickle
import select
import signal
import socket
import traceback
from contextlib import suppress

from builder.errors import IsolationError
from builder.isolation.advice import isolation_error
from builder.isolation.command import Command
from builder.isolation.sandbox import protocol
from builder.isolation.sandbox.init import Streams, run_init
from builder.isolation.sandbox.kernel_files import surroundings
from builder.isolation.sandbox.mounts import open_target, perform
from builder.isolation.sandbox.namespaces import enter_namespaces
from builder.isolation.sandbox.overlay_probe import probe_overlay
from builder.isolation.sandbox.protocol import Exited, Failed, OverlayVerdict, ProbeOverlay, Reply, Stubs
from builder.isolation.sandbox.root import mount_root
from builder.isolation.sandbox.settings import Settings
from builder.linux.processes import become_subreaper, children_of


def supervise(control: socket.socket, stdout: int, stderr: int, settings: Settings) -> None:
    """Take one request from the builder and answer it. Returns when all that it started is gone."""
    reply: Reply
    try:
        reply = _answer(protocol.receive(control), control, (stdout, stderr), settings)
    except EOFError:
        return
    except IsolationError as error:
        reply = Failed.of(error)
    except OSError as error:
        reply = Failed.of(isolation_error(error, "cannot prepare the sandbox of the command"))
    except Exception:
        reply = Failed(traceback.format_exc(), bug=True)
    with suppress(OSError):
        control.sendall(protocol.pack(reply))


def _answer(request: object, control: socket.socket, output: tuple[int, int], settings: Settings) -> Reply:
    if isinstance(request, ProbeOverlay):
        return OverlayVerdict(probe_overlay(request.directory, user_xattr=settings.user_xattr))
    if isinstance(request, Command):
        return _run(request, control, output, settings)
    raise TypeError(f"{type(request).__name__} is not a request")


def _run(command: Command, control: socket.socket, output: tuple[int, int], settings: Settings) -> Reply:
    _check(command, settings)
    enter_namespaces(command, settings)
    root = mount_root(command.root, user_xattr=settings.user_xattr)
    try:
        proc = open_target(root, "/proc", directory=True, keep=True)
        for action in surroundings(command):
            perform(action, root)
    finally:
        control.sendall(protocol.pack(Stubs(tuple(root.stubs))))
    if not settings.pid_namespace:
        become_subreaper()
    failures, failures_write = os.pipe()
    pid = os.fork()
    if pid == 0:
        control.close()
        os.close(failures)
        run_init(command, root, proc, Streams(*output, failures_write), settings)
    for descriptor in (*output, failures_write):
        os.close(descriptor)
    return _wait(pid, control, failures, settings)


def _wait(pid: int, control: socket.socket, failures: int, settings: Settings) -> Reply:
    """Wait for init to end, which is when the last writer of `failures` is gone; kill it if the builder hangs up."""
    poll = select.poll()
    poll.register(failures, select.POLLIN)
    poll.register(control, select.POLLIN)
    failure = b""
    while True:
        ready = {descriptor for descriptor, _ in poll.poll()}
        if control.fileno() in ready:
            poll.unregister(control)
            os.kill(pid, signal.SIGKILL)
        if failures in ready:
            chunk = os.read(failures, 65536)
            if not chunk:
                break
            failure += chunk
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if not settings.pid_namespace:
        _end_descendants()
    if failure:
        reply: Failed = pickle.loads(failure)
        return reply
    return Exited(status if status >= 0 else 128 - status)


def _end_descendants() -> None:
    """End what the command left behind, in place of a pid namespace's end; orphans become children of this process."""
    while True:
        for child in children_of(os.getpid()):
            with suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            return


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
