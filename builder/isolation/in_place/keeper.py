"""The keeper: a process that outlives the builder just long enough to put back what the builder has hidden.

While a command runs, credentials are in the memory of two processes that nobody may inspect, and on no disk. If the
builder is killed, the keeper waits for the end of the command, writes them where they belong, and ends.
"""

from __future__ import annotations

import ctypes
import os
import pickle
import socket
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import NamedTuple

from builder.linux.processes import erase_arguments, forbid_inspection, prctl

_PR_SET_NAME = 15
_LARGEST = 1 << 20
_TITLE = b"builder: keeper"
_PATIENCE, _PAUSE = 10.0, 0.02
"""Seconds that the end of the last command is waited for."""


class Kept(NamedTuple):
    """A file that is out of the way: blanked at `stored`; `note` says where it belongs; `times` are in nanoseconds."""

    path: str
    stored: str
    note: str
    content: bytes
    times: tuple[int, int]


class Keeper:
    """The builder's end. Made by `start_keeper`.

    Attributes:
        pid: of the process.
    """

    def __init__(self, channel: socket.socket, pid: int) -> None:
        self._channel, self.pid = channel, pid

    def keep(self, files: Sequence[Kept]) -> None:
        """Put these back if the builder should end without a word; nothing if there are none. Returns when it knows.

        Raises OSError if the process is gone, or the files are too large (1 MiB).
        """
        self._channel.send(pickle.dumps(list(files)))
        if not self._channel.recv(1):
            raise ConnectionResetError("the keeper has ended")

    def close(self) -> None:
        """End the process."""
        with suppress(OSError):
            self.keep(())
        self._channel.close()
        with suppress(ChildProcessError):
            os.waitpid(self.pid, 0)


def start_keeper(helper: int) -> Keeper:
    """Fork the keeper, before there are threads.

    Args:
        helper: the process that runs commands, which ends them when the builder ends.
    """
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    for end in (ours, theirs):
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _LARGEST)
    pid = os.fork()
    if pid == 0:
        try:
            ours.close()
            _be_keeper(theirs, helper)
        finally:
            os._exit(0)
    theirs.close()
    return Keeper(ours, pid)


def _be_keeper(channel: socket.socket, helper: int) -> None:
    from builder.isolation.sandbox.helper import close_all_but
    from builder.isolation.sandbox.signals import ignore_stop_signals

    os.setsid()
    ignore_stop_signals()
    close_all_but({channel.fileno()})
    forbid_inspection()
    with suppress(OSError, ValueError, IndexError):
        erase_arguments(_TITLE)
    with suppress(OSError):
        name = ctypes.create_string_buffer(_TITLE)
        prctl(_PR_SET_NAME, ctypes.addressof(name), "PR_SET_NAME")
    kept: list[Kept] = []
    while message := channel.recv(_LARGEST):
        kept = pickle.loads(message)
        channel.send(b"k")
    if kept:
        _wait_for_end(helper)
        for file in kept:
            with suppress(OSError):
                put_back(file)


def put_back(file: Kept) -> None:
    """Have the file as it was: same place, same bytes. Does nothing if that has been done. Raises OSError."""
    with suppress(FileNotFoundError):  # it was about to be moved
        descriptor = os.open(file.stored, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        with open(descriptor, "wb") as stored:
            stored.write(file.content)
            stored.flush()
            os.utime(descriptor, ns=file.times)
        os.rename(file.stored, file.path)
    with suppress(FileNotFoundError):
        os.unlink(file.note)


def _wait_for_end(process: int) -> None:
    deadline = time.monotonic() + _PATIENCE
    while is_running(process) and time.monotonic() < deadline:
        time.sleep(_PAUSE)


def is_running(process: int) -> bool:
    """Whether there is such a process that has not ended yet."""
    try:
        with open(f"/proc/{process}/stat", "rb") as file:
            return file.read().rpartition(b") ")[2][:1] not in (b"Z", b"X")
    except OSError:
        return False
