"""What happens where namespaces, ids or /proc cannot be had."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from support.account import Account
from support.isolation import PATH, Sandbox, processes_with

WITHOUT_SYS_ADMIN = 'exec setpriv --inh-caps=-all --bounding-set=-sys_admin "$0" "$@"'
# Limits are those of each user namespace: the rest of the machine keeps its own.
NO_NAMESPACES = (
    *("unshare", "--user", "--map-root-user", "sh", "-c"),
    f"echo 0 >/proc/sys/user/max_user_namespaces; {WITHOUT_SYS_ADMIN}",
)
# As podman's default container: root may map ids, and a part of /proc is covered.
COVERED_PROC = (*("unshare", "--mount", "sh", "-c"), f"mount --bind /dev/null /proc/keys; {WITHOUT_SYS_ADMIN}")
PREPARE = """
import json
from builder.isolation.namespace import prepare
prepared = prepare()
reason, ids = prepared.reason, prepared.id_map
print(json.dumps({"message": reason and reason.message, "hint": reason and reason.hint, "single": ids.single,
    "explanation": ids.explanation, "privileged": prepared.privileged, "inside": prepared.in_user_namespace,
    "uid": __import__("os").getuid(), "uids": [str(part) for part in ids.uids]}))
"""

Start = Callable[..., Sandbox]


@pytest.fixture
def start(user_python: Path, scratch: Path) -> Iterator[Start]:
    with ExitStack() as stack:

        def begin(wrapper: tuple[str, ...] = (), account: Account | None = None, python: Path = user_python) -> Sandbox:
            os.chown(scratch, account.uid if account else 0, -1)
            sandbox = Sandbox(python, scratch, account, wrapper)
            stack.callback(sandbox.close)
            return sandbox

        yield begin


def prepare(python: Path, *wrapper: str, **switch: Any) -> dict[str, Any]:
    """Prepare in a process of its own, and say what came of it."""
    done = subprocess.run(
        [*wrapper, python, "-c", PREPARE], capture_output=True, text=True, cwd="/", env={"PATH": PATH}, **switch
    )
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def test_root_needs_no_user_namespace(as_root: None) -> None:
    found = prepare(Path(sys.executable))
    assert (found["message"], found["privileged"], found["single"]) == (None, True, False)


def test_user_enters_a_user_namespace(account: Account, user_python: Path) -> None:
    found = prepare(user_python, **account.switch())
    assert (found["message"], found["privileged"], found["inside"], found["uid"]) == (None, False, True, 0)
    assert found["uids"][0] == f"0 {account.uid} 1" and found["uids"][1].startswith("1 ")


def test_no_user_namespaces(as_root: None) -> None:
    found = prepare(Path(sys.executable), *NO_NAMESPACES)
    assert found["message"] == (
        "commands cannot be run in namespaces here: unshare CLONE_NEWUSER: No space left on device (ENOSPC)"
    )
    assert "user.max_user_namespaces" in found["hint"] and "--isolation=in-place" in found["hint"]
    assert (found["privileged"], found["inside"], found["uid"]) == (False, True, 0)


def test_root_that_may_not_map_itself(as_root: None) -> None:
    """Since Linux 5.12 that takes CAP_SETFCAP."""
    found = prepare(Path(sys.executable), "setpriv", "--inh-caps=-all", "--bounding-set=-sys_admin,-setfcap")
    assert "uid_map: Operation not permitted (EPERM)" in found["message"]
    assert "SETFCAP" in found["hint"]
    assert found["uid"] == 0 and not found["single"]


def test_threads_are_refused(as_root: None) -> None:
    source = "import threading; threading.Thread(target=threading.Event().wait, daemon=True).start()\n" + PREPARE
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, timeout=60)
    assert "RuntimeError: prepare() was called after threads had been started" in done.stderr


def test_user_without_subordinate_ids(start: Start, as_root: None) -> None:
    sandbox = start(account=Account(name="nobody", uid=65534, gid=65534))
    assert sandbox.do("result = prepared.id_map.single")
    assert "nobody has no subordinate ids" in sandbox.do("result = prepared.id_map.explanation")
    root = sandbox.overlay()
    result = sandbox.shell("id -u; touch /x; chown 1000 /x", root=root)
    assert result.out == "0" and "Invalid argument" in result.err
    refused = sandbox.run("true", uid=1000)
    assert refused.error == "cannot run as user 1000: the id is not mapped here"
    assert "add the line nobody:100000:65536 to /etc/subuid and /etc/subgid" in refused.hint


def test_user_without_newuidmap(start: Start, account: Account) -> None:
    sandbox = start(("/usr/bin/env", "PATH=/nowhere"), account)
    assert sandbox.do("result = prepared.id_map.explanation").startswith(
        "newuidmap is not installed; it is in the package"
    )
    sandbox.do(f"import os; os.environ['PATH'] = {PATH!r}")
    assert sandbox.run("id", "-u").out == "0"


@pytest.fixture
def covered(start: Start, as_root: None) -> Sandbox:
    """A sandbox that cannot mount a /proc of its own, so it has no pid namespace."""
    return start(COVERED_PROC, python=Path(sys.executable))


def test_all_ids_of_a_container_are_mapped(covered: Sandbox) -> None:
    assert covered.do("result = [prepared.privileged, prepared.in_user_namespace, prepared.id_map.single]") == [
        False,
        True,
        False,
    ]
    assert covered.shell("id -u; touch /x && chown 12345:6 /x && stat -c %u:%g /x").out.split() == ["0", "12345:6"]


def test_existing_proc_is_used_where_no_own_one_can_be_mounted(covered: Sandbox) -> None:
    result = covered.shell(
        "readlink /proc/self/exe; cat /proc/$$/comm; echo x >/proc/sys/kernel/panic; wc -c </proc/keys"
    )
    assert result.out.split() == ["/bin/busybox", "sh", "0"]
    assert "Read-only" in result.err
    assert covered.shell("test $$ = 2 || echo shared").out == "shared"


def test_daemons_end_without_a_pid_namespace(covered: Sandbox) -> None:
    sleep = f"2000000{os.getpid()}"
    script = f"(setsid sh -c 'sleep {sleep} & sleep {sleep}' >/dev/null 2>&1 &); sleep 0.2; echo started"
    assert covered.shell(script).out == "started"
    assert processes_with(sleep) == []


def test_interruption_without_a_pid_namespace(covered: Sandbox) -> None:
    sleep = f"3000000{os.getpid()}"
    source = f"""
from builder.errors import Interrupted
def refuse(stream, line):
    raise Interrupted(2, "SIGINT")
command = Command(argv=("sh", "-c", "(setsid sleep {sleep} &); echo started; sleep {sleep}"), env=("PATH={PATH}",),
    cwd="/", uid=0, gid=0, groups=(), root={covered.overlay()!r})
try:
    isolation.run(command, refuse)
except Interrupted:
    result = "interrupted"
"""
    assert covered.do(source) == "interrupted"
    assert processes_with(sleep) == []
