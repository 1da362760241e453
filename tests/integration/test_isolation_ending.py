"""Nothing that a command started outlives it, however it or the builder ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.account import Account
from support.isolation import PATH, Sandbox, processes_with

ANSWER = 60.0  # seconds; nothing takes them unless it is broken


@pytest.fixture
def marker() -> str:
    """The argument of a sleep, by which it is found on the machine."""
    return str(10**6 + uuid.uuid4().int % 10**9)


@pytest.fixture(params=["root", "user"])
def own_sandbox(request: pytest.FixtureRequest, scratch: Path) -> Iterator[Sandbox]:
    """A sandbox that the test may destroy."""
    if request.param == "root":
        request.getfixturevalue("as_root")
        python, account = Path(sys.executable), None
    else:
        python, account = request.getfixturevalue("user_python"), request.getfixturevalue("account")
        os.chown(scratch, account.uid, account.gid)
    sandbox = Sandbox(python, scratch, account)
    yield sandbox
    sandbox.process.kill()
    sandbox.process.communicate()


def wait_until(condition: object) -> None:
    deadline = time.monotonic() + ANSWER
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline, "it does not come"
        time.sleep(0.02)


def overlays_below(directory: Path) -> list[str]:
    """Mounts of the machine's processes that have to do with `directory`."""
    found = []
    for path in Path("/proc").glob("[0-9]*/mountinfo"):
        try:
            found += [line for line in path.read_text().splitlines() if str(directory) in line]
        except OSError:
            continue
    return found


def test_daemons_end_with_the_command(sandbox: Sandbox, marker: str) -> None:
    result = sandbox.shell(f"(setsid sleep {marker} >/dev/null 2>&1 &) ; sleep {marker} & echo started")
    assert (result.status, result.out) == (0, "started")
    assert processes_with(marker) == []


def test_daemon_that_holds_the_output_does_not_delay_the_end(sandbox: Sandbox, marker: str) -> None:
    assert sandbox.shell(f"trap '' HUP TERM INT; sleep {marker} & echo started").out == "started"


def test_orphans_are_reaped(sandbox: Sandbox) -> None:
    script = "for i in 1 2 3 4 5; do (sh -c 'true &' &); done; sleep 0.3; cat /proc/[0-9]*/status | grep -c zombie"
    assert sandbox.shell(script).out == "0"


def test_commands_run_side_by_side(sandbox: Sandbox) -> None:
    """Each waits for the other, by a directory that they share."""
    shared = sandbox.new_directory("shared")
    roots = [sandbox.overlay() for _ in range(4)]
    source = f"""
from concurrent.futures import ThreadPoolExecutor
import os
def one(number):
    script = f"touch /shared/{{number}}; while [ $(ls /shared | wc -l) != 4 ]; do sleep 0.02; done; echo {{number}}"
    command = Command(argv=("sh", "-c", script), env=("PATH={PATH}",), cwd="/", uid=0, gid=0, groups=(),
        root={roots!r}[number], mounts=(Bind(target="/shared", source={shared!r}),))
    return run(command)["lines"]
with ThreadPoolExecutor(4) as pool:
    result = list(pool.map(one, range(4)))
"""
    assert sandbox.do(source) == [[[1, str(number)]] for number in range(4)]


def test_exception_in_the_callback_ends_the_command(sandbox: Sandbox, marker: str) -> None:
    source = f"""
from builder.errors import Interrupted
def refuse(stream, line):
    raise Interrupted(2, "SIGINT")
command = Command(argv=("sh", "-c", "setsid sleep {marker} & echo started; sleep {marker}"), env=("PATH={PATH}",),
    cwd="/", uid=0, gid=0, groups=(), root={sandbox.overlay()!r}, mounts=(Tmpfs(target="/stub/of/mount"),))
try:
    isolation.run(command, refuse)
except Interrupted:
    result = "interrupted"
"""
    assert sandbox.do(source) == "interrupted"
    assert processes_with(marker) == []


def test_signal_handler_that_raises_ends_the_command(own_sandbox: Sandbox, marker: str) -> None:
    root = own_sandbox.overlay()
    source = f"""
import signal
from builder.errors import Interrupted
def stop(number, frame):
    raise Interrupted(number, "SIGTERM")
signal.signal(signal.SIGTERM, stop)
command = Command(argv=("sh", "-c", "trap '' TERM; sleep {marker} & sleep {marker}"), env=("PATH={PATH}",), cwd="/",
    uid=0, gid=0, groups=(), root={root!r}, mounts=(Tmpfs(target="/stub/of/mount"),))
try:
    isolation.run(command, lambda stream, line: None)
except Interrupted as error:
    result = error.exit_code
"""
    assert own_sandbox.process.stdin is not None
    pid = own_sandbox.process.pid
    watcher = subprocess.Popen([sys.executable, "-c", _KILL_WHEN_STARTED, marker, str(pid)])
    assert own_sandbox.do(source) == 143
    assert watcher.wait(ANSWER) == 0
    assert processes_with(marker) == [] and own_sandbox.tree(root.upper) == {}
    wait_until(lambda: not overlays_below(own_sandbox.directory))


# Sends SIGTERM to a process once the two sleeps have begun.
_KILL_WHEN_STARTED = """
import os, pathlib, signal, sys, time
def count():
    found = 0
    for path in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found += path.read_bytes().startswith(b"sleep\\0" + sys.argv[1].encode())
        except OSError:
            pass
    return found
while count() < 2:
    time.sleep(0.02)
os.kill(int(sys.argv[2]), signal.SIGTERM)
"""


def test_cancel_all_ends_every_command_and_refuses_more(own_sandbox: Sandbox, marker: str) -> None:
    roots = [own_sandbox.overlay() for _ in range(3)]
    source = f"""
from concurrent.futures import ThreadPoolExecutor
from builder.isolation.base import Cancelled
import threading
started = threading.Barrier(3)
def one(root, output):
    command = Command(argv=("sh", "-c", "echo started; sleep {marker}"), env=("PATH={PATH}",), cwd="/", uid=0, gid=0,
        groups=(), root=root)
    try:
        return isolation.run(command, output)
    except Cancelled as error:
        return error.message
with ThreadPoolExecutor(2) as pool:
    running = [pool.submit(one, root, lambda stream, line: started.wait()) for root in {roots!r}[:2]]
    started.wait()
    isolation.cancel_all()
    result = [future.result() for future in running]
result.append(one({roots!r}[2], print))
"""
    assert own_sandbox.do(source) == ["the command was cancelled"] * 3
    assert processes_with(marker) == []


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_commands_end_with_the_builder(own_sandbox: Sandbox, marker: str, number: signal.Signals) -> None:
    command = f"""
run(Command(argv=("sh", "-c", "trap '' TERM HUP INT; setsid sleep {marker} & sleep {marker}"), env=("PATH={PATH}",),
    cwd="/", uid=0, gid=0, groups=(), root={own_sandbox.overlay()!r}))
"""
    with pytest.raises(AssertionError, match="the process has ended"):
        _do_and_kill(own_sandbox, command, marker, number)
    wait_until(lambda: processes_with(marker) == [])
    wait_until(lambda: not overlays_below(own_sandbox.directory))


def _do_and_kill(sandbox: Sandbox, source: str, marker: str, number: signal.Signals) -> None:
    killer = _KILL_WHEN_STARTED.replace("SIGTERM", number.name)
    watcher = subprocess.Popen([sys.executable, "-c", killer, marker, str(sandbox.process.pid)])
    try:
        sandbox.do(source)
    finally:
        assert watcher.wait(ANSWER) == 0


def test_helper_that_is_killed_takes_the_commands_along(own_sandbox: Sandbox, marker: str) -> None:
    helper = own_sandbox.do("result = isolation._helper")
    source = f"""
result = run(Command(argv=("sh", "-c", "sleep {marker} & sleep {marker}"), env=("PATH={PATH}",), cwd="/", uid=0, gid=0,
    groups=(), root={own_sandbox.overlay()!r}))
"""
    watcher = subprocess.Popen(
        [sys.executable, "-c", _KILL_WHEN_STARTED.replace("SIGTERM", "SIGKILL"), marker, str(helper)]
    )
    answer = own_sandbox.do(source)
    assert watcher.wait(ANSWER) == 0
    assert answer["error"] == "the process that isolates the command was killed"
    wait_until(lambda: processes_with(marker) == [])
    assert "its helper process has ended" in own_sandbox.run("true").error


def test_terminal_signals_reach_the_builder_alone(own_sandbox: Sandbox, account: Account) -> None:
    """Helper, supervisor and command are in sessions of their own."""
    result = own_sandbox.shell(
        "cut -d' ' -f6 /proc/self/stat; echo $$; test -t 0 || test ! -e /dev/console && echo none"
    )
    session, shell, _ = result.out.split()
    assert session == shell
    helper = own_sandbox.do("result = isolation._helper")
    assert os.getsid(helper) == helper


def test_close_leaves_no_process(own_sandbox: Sandbox) -> None:
    own_sandbox.run("true")
    helper = own_sandbox.do("result = isolation._helper")
    own_sandbox.do("isolation.close()\nresult = None")
    assert not Path(f"/proc/{helper}").exists()
    assert overlays_below(own_sandbox.directory) == []
    own_sandbox.do("isolation = None")
