"""SIGINT, SIGTERM and SIGHUP stop a build by an exception; the second one ends the process at once."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any

from builder.cli.delicate import is_delicate, is_under_way
from builder.cli.waker import Waker
from builder.errors import Interrupted

_STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_SECONDS_TO_TRY_AGAIN = 0.02


class StopSignals:
    """While active, the first signal raises Interrupted in the main thread.

    The exception goes through every ``finally`` on its way, so temporary files, mounts and children are cleaned up;
    `received` tells that it was raised even where something on the way has swallowed or replaced it. What `on_stop`
    was given is called just before, in the signal handler. Outside of the main thread it does nothing.

    Where the exception would do harm (see `delicate`), it waits for a better place; where it has got lost, in a
    ``__del__`` or because somebody takes every BuilderError for a reason to go on, it is raised again: a timer
    (SIGALRM) comes back to it until the block has ended.

    SIGPIPE is ignored: a closed pipe is an error of the write. A signal that was ignored when the process started
    (``nohup``) stays ignored.
    """

    def __init__(self) -> None:
        self.received: Interrupted | None = None
        self._number = 0
        self._before: dict[int, object] = {}
        self._hook = sys.unraisablehook
        self._waker = Waker(_STOPPING, lambda: self.received is not None)
        self._callbacks: list[Callable[[], None]] = []

    def on_stop(self, callback: Callable[[], None]) -> None:
        """Call `callback` when a signal comes. It must be quick and fit for a signal handler.

        Who has something to stop has threads, or is about to: from now on there is one here, too (see `waker`).
        """
        self._callbacks.append(callback)
        if self._before:
            self._waker.start()

    def __enter__(self) -> StopSignals:
        if threading.current_thread() is threading.main_thread():
            for number in _STOPPING:
                if signal.getsignal(number) is not signal.SIG_IGN:
                    self._before[number] = signal.signal(number, self._stop)
            self._hook, sys.unraisablehook = sys.unraisablehook, self._unraisable
            self._before[signal.SIGALRM] = signal.signal(signal.SIGALRM, self._again)
            self._before[signal.SIGPIPE] = signal.signal(signal.SIGPIPE, signal.SIG_IGN)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._waker.stop()
        if self.received is not None:
            signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]
        if self._before:
            sys.unraisablehook = self._hook

    def _stop(self, number: int, frame: FrameType | None) -> None:
        if self.received is not None:
            os._exit(128 + number)
        self._number, self.received = number, _interrupted(number)
        for callback in self._callbacks:
            with contextlib.suppress(Exception):
                callback()
        signal.setitimer(signal.ITIMER_REAL, _SECONDS_TO_TRY_AGAIN, _SECONDS_TO_TRY_AGAIN)
        self._again(number, frame)

    def _again(self, _: int, frame: FrameType | None) -> None:
        """Raise the exception, unless this is no place for it or it is on its way already."""
        if self.received is None or is_delicate(frame) or is_under_way(Interrupted):
            return
        # a new one each time: what has become of an earlier one, and of its context, is unknown
        self.received = _interrupted(self._number)
        raise self.received

    def _unraisable(self, lost: Any) -> None:
        """Nobody wants to read where the exception has got lost; it comes again."""
        if not issubclass(lost.exc_type, Interrupted):
            self._hook(lost)


def _interrupted(number: int) -> Interrupted:
    return Interrupted(number, signal.Signals(number).name)
