"""SIGINT, SIGTERM and SIGHUP stop a build by an exception; the second one ends the process at once."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Callable
from types import FrameType, TracebackType

from builder.errors import Interrupted

_STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class StopSignals:
    """While active, the first signal raises Interrupted in the main thread.

    The exception goes through every ``finally`` on its way, so temporary files, mounts and children are cleaned up;
    `received` tells that it was raised even where something on the way has swallowed or replaced it. What `on_stop`
    was given is called just before, in the signal handler. Outside of the main thread it does nothing.

    SIGPIPE is ignored: a closed pipe is an error of the write. A signal that was ignored when the process started
    (``nohup``) stays ignored.
    """

    def __init__(self) -> None:
        self.received: Interrupted | None = None
        self._before: dict[int, object] = {}
        self._callbacks: list[Callable[[], None]] = []

    def on_stop(self, callback: Callable[[], None]) -> None:
        """Call `callback` when a signal comes. It must be quick and fit for a signal handler."""
        self._callbacks.append(callback)

    def __enter__(self) -> StopSignals:
        if threading.current_thread() is threading.main_thread():
            for number in _STOPPING:
                if signal.getsignal(number) is not signal.SIG_IGN:
                    self._before[number] = signal.signal(number, self._stop)
            self._before[signal.SIGPIPE] = signal.signal(signal.SIGPIPE, signal.SIG_IGN)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    def _stop(self, number: int, frame: FrameType | None) -> None:
        if self.received is not None:
            os._exit(128 + number)
        self.received = Interrupted(number, signal.Signals(number).name)
        for callback in self._callbacks:
            with contextlib.suppress(Exception):
                callback()
        raise self.received
