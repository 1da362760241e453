"""Where an exception out of a signal handler would break something: Python's own bookkeeping of threads and modules."""

from __future__ import annotations

import sys
import threading
from types import FrameType

_BOOKKEEPING = frozenset(
    {
        "builder.cli.signals",
        "builder.cli.waker",
        "_weakrefset",
        "concurrent.futures._base",
        "concurrent.futures.thread",
        "contextlib",
        "functools",
        "queue",
        "threading",
        "weakref",
    }
)
"""Modules whose functions hold locks, or keep accounts, between any two of their lines."""
_IMPORTS = frozenset({"importlib._bootstrap", "_frozen_importlib"})
_UNSAFE = frozenset({threading.Thread.start.__code__, threading.Thread._bootstrap_inner.__code__})  # type: ignore[attr-defined]
_WAIT = threading.Condition.wait.__code__
_JOINS = frozenset({"_wait_for_tstate_lock", "join"})


def is_delicate(frame: FrameType | None) -> bool:
    """Whether an exception that is raised in `frame` might leave a lock held, an account wrong or a module half there.

    An exception after ``_start_new_thread`` in Thread.start, for instance, has it strike a thread from its list that
    has already done so itself (KeyError); one at the end of Condition.__enter__ leaves the lock of a Future held, and
    whoever completes the Future waits for ever. All of these places are left within moments. Where a thread waits for
    others inside of these modules, it may be interrupted.
    """
    if frame is None:
        return False
    outer: FrameType | None = frame
    while outer is not None:
        if outer.f_code in _UNSAFE or outer.f_globals.get("__name__") in _IMPORTS:
            return True
        outer = outer.f_back
    return frame.f_globals.get("__name__") in _BOOKKEEPING and not _waits(frame)


def is_under_way(kind: type[BaseException]) -> bool:
    """Whether an exception of this kind is being handled in this thread: it goes through a ``finally``, say."""
    error, seen = sys.exception(), set[int]()
    while error is not None and id(error) not in seen:
        if isinstance(error, kind):
            return True
        seen.add(id(error))
        error = error.__context__
    return False


def _waits(frame: FrameType) -> bool:
    """Whether this is one of the places of `threading` in which a thread sleeps, and is ready for an exception."""
    if frame.f_code is _WAIT:
        return frame.f_locals.get("gotit") is False
    return frame.f_globals.get("__name__") == "threading" and frame.f_code.co_name in _JOINS
