"""Wakes the main thread for a signal that came just before it went to sleep.

Python notes a signal and has the main thread call the handler between two of its instructions, or when a system call
is interrupted. If it comes after the last instruction before a system call, the thread sleeps on all the same: while it
hands over the lock of the interpreter, say, which takes long on a machine that is busy. Nobody would ever wake it.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Collection

_SECONDS_BETWEEN = 0.02
_TRIES = 500


class Waker:
    """While it runs, the main thread is sent SIGALRM until the handler of a signal has been called.

    Args:
        numbers: the signals.
        heard: whether the handler has been called.
    """

    def __init__(self, numbers: Collection[int], heard: Callable[[], bool]) -> None:
        self._numbers, self._heard = numbers, heard
        self._ends: tuple[int, int] | None = None
        self._thread = threading.Thread(target=self._watch, name="waker", daemon=True)

    def start(self) -> None:
        """Begin, unless it has begun. For the main thread; SIGALRM must have a handler."""
        if self._ends is None:
            self._ends = os.pipe()
            os.set_blocking(self._ends[1], False)
            signal.set_wakeup_fd(self._ends[1], warn_on_full_buffer=False)
            self._thread.start()

    def stop(self) -> None:
        """End, if it has begun."""
        if self._ends is not None:
            signal.set_wakeup_fd(-1)
            os.close(self._ends[1])
            self._thread.join()
            os.close(self._ends[0])
            self._ends = None

    def _watch(self) -> None:
        assert self._ends is not None
        main = threading.main_thread().ident
        assert main is not None
        while number := os.read(self._ends[0], 1):
            if number[0] in self._numbers:
                for _ in range(_TRIES):
                    if self._heard():
                        break
                    signal.pthread_kill(main, signal.SIGALRM)
                    time.sleep(_SECONDS_BETWEEN)
