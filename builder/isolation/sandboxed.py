"""The namespace isolation: runs commands through the helper process."""

from __future__ import annotations

import os
import socket
import threading
from contextlib import suppress
from pathlib import Path

from builder.errors import IsolationError
from builder.isolation import stubs
from builder.isolation.base import Cancelled, Output
from builder.isolation.command import Command, OverlayRoot
from builder.isolation.sandbox.protocol import NEW, OPENED, QUIT, Exited, OverlayVerdict, ProbeOverlay
from builder.isolation.session import Session


class NamespaceIsolation:
    """An Isolation (base.py) of Linux namespaces. Made by `prepare` of namespace.py.

    Args:
        channel: the socket to the helper.
        helper: its process id.
    """

    name = "namespace"

    def __init__(self, channel: socket.socket, helper: int) -> None:
        self._channel, self._helper = channel, helper
        self._lock = threading.Lock()
        self._running: set[Session] = set()
        self._cancelled = False
        self._overlay_refusals: dict[int, str | None] = {}

    def supports_overlay(self, directory: Path) -> bool:
        return self.overlay_refusal(directory) is None

    def overlay_refusal(self, directory: Path) -> str | None:
        """Why an OverlayRoot below the existing `directory` does not work, None if it does; tried once a filesystem."""
        device = os.stat(directory).st_dev
        if device not in self._overlay_refusals:
            request = ProbeOverlay(directory=os.fspath(directory.absolute()))
            with _Running(self, self._open()) as session:
                verdict = self._ask(session, request, lambda _stream, _line: None)
            self._overlay_refusals[device] = verdict.refusal if isinstance(verdict, OverlayVerdict) else "no answer"
        return self._overlay_refusals[device]

    def run(self, command: Command, output: Output) -> int:
        changed = command.root.upper if isinstance(command.root, OverlayRoot) else command.root.path
        with _Running(self, self._open()) as session:
            try:
                outcome = self._ask(session, command, output)
            finally:
                stubs.remove(changed, session.stubs())
        if not isinstance(outcome, Exited):
            raise TypeError(f"{type(outcome).__name__} is no outcome of a command")
        return outcome.status

    def _ask(self, session: Session, request: object, output: Output) -> object:
        """Send the request and wait until the supervisor has answered and is gone."""
        try:
            session.send(request)
            session.follow(output)
        except BaseException:
            session.end()
            raise
        if self._cancelled:
            raise Cancelled
        return session.reply()

    def cancel_all(self) -> None:
        self._cancelled = True
        for session in tuple(self._running):
            session.cancel()

    def resume(self) -> None:
        self._cancelled = False

    def close(self) -> None:
        with suppress(OSError):
            self._channel.send(QUIT)
        self._channel.close()
        with suppress(ChildProcessError):
            os.waitpid(self._helper, 0)

    def _open(self) -> Session:
        """Have the helper fork a supervisor.

        Sockets and pipes are made there: a process that the builder forks meanwhile could keep them open.
        """
        try:
            with self._lock:
                self._channel.send(NEW)
                answer, descriptors, _, _ = socket.recv_fds(self._channel, 4096, 3, socket.MSG_CMSG_CLOEXEC)
        except OSError:
            answer, descriptors = b"", []
        if answer != OPENED:
            reason = os.fsdecode(answer[1:]) or "its helper process has ended"
            raise IsolationError(f"the sandbox cannot be used: {reason}")
        control, stdout, stderr = descriptors
        return Session(socket.socket(fileno=control), stdout, stderr)


class _Running:
    """A session that `cancel_all` knows of while it is used, and that is closed then."""

    def __init__(self, isolation: NamespaceIsolation, session: Session) -> None:
        self._isolation, self._session = isolation, session

    def __enter__(self) -> Session:
        self._isolation._running.add(self._session)
        if self._isolation._cancelled:
            self._session.cancel()
        return self._session

    def __exit__(self, *_: object) -> None:
        self._isolation._running.discard(self._session)
        self._session.close()
