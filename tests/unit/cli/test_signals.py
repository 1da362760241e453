"""Signals, sent to a child process that runs a command."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

_BODY = """
import signal, sys, time, threading
from concurrent.futures import Future, ThreadPoolExecutor
for number in ({heeded}):
    signal.signal(number, signal.SIG_DFL)  # whoever started the tests may have had them ignored (nohup)
from builder.cli.flags import BUILD_FLAGS
from builder.cli.session import run
from builder.errors import BuilderError

def body(session):
    {before}
    try:
        print("ready", flush=True)
        {wait}
    except BuilderError as error:
        {caught}
    finally:
        print("cleaned up", flush=True)
        {cleanup}
    return 0

sys.exit(run("build", BUILD_FLAGS, [], body))
"""


def start(
    tmp_path: Path,
    *,
    wait: str = "time.sleep(60)",
    caught: str = "raise",
    cleanup: str = "pass",
    before: str = "pass",
    heeded: str = "signal.SIGHUP, signal.SIGINT, signal.SIGTERM",
) -> subprocess.Popen[str]:
    script = tmp_path / "script.py"
    script.write_text(_BODY.format(wait=wait, caught=caught, cleanup=cleanup, before=before, heeded=heeded))
    child = subprocess.Popen(
        [sys.executable, str(script)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "BUILDER_STATE_DIR": str(tmp_path)},
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "ready\n"
    return child


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_ends_the_command(number: signal.Signals, status: int, tmp_path: Path) -> None:
    child = start(tmp_path)
    child.send_signal(number)
    output, error = child.communicate(timeout=30)
    assert (child.returncode, output, error) == (status, "cleaned up\n", f"error: stopped by {number.name}\n")


def test_a_signal_is_not_lost_where_it_becomes_another_error(tmp_path: Path) -> None:
    child = start(tmp_path, caught="raise BuilderError('the child died') from None")
    child.terminate()
    assert child.communicate(timeout=30)[1] == "error: stopped by SIGTERM\n"
    assert child.returncode == 143


def test_a_main_thread_that_waits_for_a_lock_is_woken(tmp_path: Path) -> None:
    child = start(tmp_path, wait="threading.Event().wait()")
    child.terminate()
    child.communicate(timeout=30)
    assert child.returncode == 143


def test_the_second_signal_ends_at_once(tmp_path: Path) -> None:
    child = start(tmp_path, cleanup="time.sleep(60)")
    child.terminate()
    assert child.stdout is not None
    assert child.stdout.readline() == "cleaned up\n"
    child.send_signal(signal.SIGINT)
    child.communicate(timeout=30)
    assert child.returncode == 130


def test_what_is_to_be_stopped_is_told_before(tmp_path: Path) -> None:
    child = start(tmp_path, before="session.signals.on_stop(lambda: print('told', flush=True))")
    child.terminate()
    assert child.communicate(timeout=30)[0] == "told\ncleaned up\n"


def test_an_ignored_signal_stays_ignored(tmp_path: Path) -> None:
    previous = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        child = start(tmp_path, wait="time.sleep(60)", heeded="signal.SIGINT, signal.SIGTERM")
    finally:
        signal.signal(signal.SIGHUP, previous)
    child.send_signal(signal.SIGHUP)
    child.terminate()
    assert "SIGTERM" in child.communicate(timeout=30)[1]
    assert child.returncode == 143


def test_a_closed_standard_error_does_not_matter(tmp_path: Path) -> None:
    child = start(tmp_path)
    assert child.stderr is not None
    child.stderr.close()
    child.terminate()
    assert child.wait(timeout=30) == 143


_THREADS = """while True:
            future = Future()
            for act in (lambda: future.set_result(1), lambda: None):
                threading.Thread(target=act, daemon=True).start()
            future.result()
            with ThreadPoolExecutor(2) as pool:
                for each in [pool.submit(id, 1) for _ in range(4)]:
                    each.result()"""


@pytest.mark.parametrize(
    "milliseconds",
    [pytest.param(at, marks=[] if at % 30 == 0 else [pytest.mark.exhaustive]) for at in range(0, 150, 3)],
)
def test_a_signal_amid_threads_is_neither_another_error_nor_a_deadlock(tmp_path: Path, milliseconds: int) -> None:
    child = start(tmp_path, wait=_THREADS)
    time.sleep(milliseconds / 1000)
    child.terminate()
    output, error = child.communicate(timeout=30)
    assert (child.returncode, output, error) == (143, "cleaned up\n", "error: stopped by SIGTERM\n")


_SIGNAL = "signal.raise_signal(signal.SIGTERM)"
_LATE = "(begin(*each), time.sleep(0.2), signal.raise_signal(signal.SIGTERM))"


@pytest.mark.parametrize(
    ("before", "wait"),
    [
        (
            f"begin = threading._start_new_thread; threading._start_new_thread = lambda *each: {_LATE}",
            "threading.Thread(target=time.sleep, args=(0.1,)).start(); time.sleep(60)",
        ),
        (f"thing = type('', (), {{'__del__': lambda self: {_SIGNAL}}})()", "del thing; time.sleep(60)"),
        (f"import weakref; thing = {{1}}; kept = weakref.ref(thing, lambda _: {_SIGNAL})", "del thing; time.sleep(60)"),
        ("import contextlib", f"with contextlib.suppress(BuilderError): {_SIGNAL}\n        time.sleep(60)"),
        ("lock = threading.Condition()", f"lock._waiters = type('', (), {{'append': lambda *_: {_SIGNAL}}})()\n"
         "        with lock: lock.wait()"),
    ],
    ids=["start", "del", "weakref", "suppressed", "wait"],
)  # fmt: skip
def test_a_signal_at_a_bad_moment_is_not_lost(tmp_path: Path, before: str, wait: str) -> None:
    """The exception comes a little later, or once more."""
    child = start(tmp_path, before=before, wait=wait)
    assert child.stdout is not None and child.stderr is not None
    # not by `communicate`: what was said at once is already in the buffer
    output, error = child.stdout.read(), child.stderr.read()
    assert (child.wait(timeout=30), output, error) == (143, "cleaned up\n", "error: stopped by SIGTERM\n")


def test_a_main_thread_that_has_gone_to_sleep_with_a_signal_is_woken(tmp_path: Path) -> None:
    """Another thread takes the signal here; that the main thread takes it a moment too early cannot be arranged."""
    child = start(
        tmp_path,
        before="session.signals.on_stop(lambda: None)\n"
        "    threading.Thread(target=time.sleep, args=(60,), daemon=True).start()\n"
        "    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})",
        wait="threading.Event().wait()",
    )
    child.terminate()
    output, error = child.communicate(timeout=30)
    assert (child.returncode, output, error) == (143, "cleaned up\n", "error: stopped by SIGTERM\n")
