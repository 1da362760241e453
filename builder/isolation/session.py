"""One command in the sandbox, as the builder sees it: its control socket and its output."""

from __future__ import annotations

import os
import select
import socket
import time
from collections.abc import Callable
from contextlib import suppress

from builder.errors import IsolationError
from builder.isolation.lines import Lines
from builder.isolation.sandbox import protocol
from builder.isolation.sandbox.protocol import Failed, Stub, Stubs

_CHUNK = 64 * 1024
_PATIENCE = 10.0
"""Seconds that a killed command gets until its end is no longer waited for (it may hang in a dead network mount)."""


class Session:
    """Ends with the supervisor's reply, or when it closes the control socket: then no process of the command is left.

    Its mounts go with the supervisor itself, a few milliseconds later.

    Args:
        control: the socket to the supervisor.
        stdout, stderr: read ends of pipes. All three are closed by `close`.
    """

    def __init__(self, control: socket.socket, stdout: int, stderr: int) -> None:
        self._control = control
        self._pipes = {stdout: 1, stderr: 2}
        self._lines = {1: Lines(), 2: Lines()}
        self._received = bytearray()
        for descriptor in self._pipes:
            os.set_blocking(descriptor, False)

    def send(self, request: object) -> None:
        with suppress(BrokenPipeError, ConnectionResetError):  # it has ended; `reply` tells
            self._control.sendall(protocol.pack(request))

    def follow(self, output: Callable[[int, bytes], None]) -> None:
        """Pass on the lines of output until the end."""
        poll = select.poll()
        for descriptor in (self._control.fileno(), *self._pipes):
            poll.register(descriptor, select.POLLIN)
        while True:
            ready = [descriptor for descriptor, _ in poll.poll()]
            for descriptor in ready:
                if descriptor in self._pipes and not self._pass_on(descriptor, output):
                    poll.unregister(descriptor)
            if self._control.fileno() in ready and not self._receive():
                break
        self._pass_on_rest(output)

    def cancel(self) -> None:
        """Have the command ended; returns at once. Fit for a signal handler."""
        with suppress(OSError):
            self._control.shutdown(socket.SHUT_WR)

    def end(self) -> None:
        """End the command and wait until it is gone, whatever signals come."""
        self.cancel()
        deadline = time.monotonic() + _PATIENCE
        while (left := deadline - time.monotonic()) > 0:
            try:
                self._control.settimeout(left)
                if not self._receive():
                    return
            except OSError:  # time is up
                return
            except BaseException:  # another signal; the first exception is the one that counts
                continue

    def reply(self) -> object:
        """The supervisor's last word. Raises IsolationError if it says that the command could not be run."""
        reply = self._reply()
        if reply is None:
            raise IsolationError(
                "the process that isolates the command was killed",
                hint="the machine may have run out of memory; the kernel's log (dmesg) says so",
            )
        if isinstance(reply, Failed):
            if reply.is_bug:
                raise RuntimeError(reply.message)
            raise IsolationError(reply.message, hint=reply.hint)
        return reply

    def stubs(self) -> tuple[Stub, ...]:
        """What was made in the root filesystem for mounts."""
        messages = protocol.unpack(bytes(self._received))
        return next((message.stubs for message in messages if isinstance(message, Stubs)), ())

    def close(self) -> None:
        self._control.close()
        for descriptor in self._pipes:
            os.close(descriptor)

    def _receive(self) -> bool:
        """Take in what the supervisor says; False after its last word."""
        try:
            data = self._control.recv(_CHUNK)
        except ConnectionResetError:
            return False
        self._received += data
        return bool(data) and self._reply() is None

    def _reply(self) -> object | None:
        messages = protocol.unpack(bytes(self._received))
        return next((message for message in messages if not isinstance(message, Stubs)), None)

    def _pass_on(self, descriptor: int, output: Callable[[int, bytes], None]) -> bool:
        """Pass on what is there to be read; False at the end of the stream."""
        stream = self._pipes[descriptor]
        data = os.read(descriptor, _CHUNK)
        for line in self._lines[stream].feed(data):
            output(stream, line)
        return bool(data)

    def _pass_on_rest(self, output: Callable[[int, bytes], None]) -> None:
        """Nobody is left to write, so what can be read without waiting is all there will be."""
        for descriptor, stream in self._pipes.items():
            with suppress(BlockingIOError):
                while self._pass_on(descriptor, output):
                    pass
            for line in self._lines[stream].end():
                output(stream, line)
