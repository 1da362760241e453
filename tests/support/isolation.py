"""A process that runs commands in namespaces on behalf of a test, as root or as an ordinary user.

The test process itself cannot: it has threads, and an ordinary user would have to take it into a user namespace.
"""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Any

from builder.isolation.command import Command, DirectoryRoot, OverlayRoot
from support.account import Account

PATH = "/usr/sbin:/usr/bin:/sbin:/bin"

SERVER = """
import json, sys, traceback
from builder.errors import IsolationError
from builder.isolation.command import *
from builder.isolation.namespace import prepare

prepared = prepare()
isolation = prepared.isolation

def run(command):
    lines = []
    try:
        status = isolation.run(command, lambda stream, line: lines.append([stream, line.decode("utf-8", "replace")]))
        return {"status": status, "lines": lines}
    except IsolationError as error:
        return {"error": error.message, "hint": error.hint, "lines": lines}

for line in sys.stdin:
    try:
        names = dict(globals())
        exec(json.loads(line), names)
        answer = {"result": names.get("result")}
    except BaseException:
        answer = {"failure": traceback.format_exc()}
    print(json.dumps(answer), flush=True)
if isolation:
    isolation.close()
"""

BUSYBOX_ROOT = """
import os, subprocess
umask = os.umask(0o022)
applets = subprocess.run(["/bin/busybox", "--list"], capture_output=True, text=True).stdout.split()
for path in ("bin", "dev", "etc", "home/sub", "proc", "sys", "usr/lib/deep"):
    os.makedirs(os.path.join(root, path))
os.mkdir(root + "/tmp")
os.chmod(root + "/tmp", 0o1777)
subprocess.run(["cp", "/bin/busybox", root + "/bin/busybox"], check=True)
for applet in applets:
    if applet != "busybox":
        os.symlink("busybox", f"{root}/bin/{applet}")
contents = {"etc/passwd": "root:x:0:0::/:/bin/sh\\n", "etc/hosts": "of the image\\n", "home/file": "text\\n"}
for name, text in contents.items():
    with open(f"{root}/{name}", "w") as file:
        file.write(text)
for directory, _, _ in os.walk(root):
    os.utime(directory, (1_000_000_000, 1_000_000_000))
os.umask(umask)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """`status` is None if the command could not be run; then `error` and `hint` say why."""

    status: int | None
    lines: list[tuple[int, str]]
    error: str = ""
    hint: str = ""

    @property
    def out(self) -> str:
        return "\n".join(line for stream, line in self.lines if stream == 1)

    @property
    def err(self) -> str:
        return "\n".join(line for stream, line in self.lines if stream == 2)


class Sandbox:
    """Such a process, and a small root filesystem of busybox in its `directory`.

    Args:
        python: an interpreter that has the builder.
        directory: an empty directory that belongs to the user.
        account: whom to become; None for the user of the tests.
        wrapper: a program before the interpreter, e.g. ``unshare``.
    """

    def __init__(
        self, python: Path, directory: Path, account: Account | None = None, wrapper: tuple[str, ...] = ()
    ) -> None:
        self.directory = directory
        self._numbers = count()
        self.process = subprocess.Popen(
            [*wrapper, python, "-c", SERVER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd="/",
            umask=0o077,  # which no command may see
            env={"PATH": PATH, "HOME": str(directory), "SECRET_OF_BUILDER": "unseen"},
            **(account.switch() if account else {}),
        )

    def close(self) -> None:
        try:
            self.process.communicate(timeout=30)
        except subprocess.TimeoutExpired:  # a test has failed and left it hanging
            self.process.kill()
            raise

    def do(self, source: str) -> Any:
        """Execute `source` in the process, where `prepared`, `isolation` and `run` are; returns its `result`."""
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(json.dumps(source) + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        assert answer, "the process has ended"
        decoded = json.loads(answer)
        assert "failure" not in decoded, decoded["failure"]
        return decoded["result"]

    def busybox(self) -> str:
        """The root filesystem, made by the first call."""
        root = str(self.directory / "busybox")
        if not os.path.lexists(root):
            self.do(f"root = {root!r}\n{BUSYBOX_ROOT}")
        return root

    def overlay(self, *lowers: str) -> OverlayRoot:
        """A new upper directory on busybox and what is given above it."""
        upper, work = self.new_directory("upper"), self.new_directory("work")
        return OverlayRoot(lowers=(*lowers, self.busybox()), upper=upper, work=work)

    def directory_root(self) -> DirectoryRoot:
        """A copy of busybox."""
        path = f"{self.directory}/copy-{next(self._numbers)}"
        self.do(f"import subprocess; subprocess.run(['cp', '-a', {self.busybox()!r}, {path!r}], check=True)")
        return DirectoryRoot(path=path)

    def new_directory(self, name: str) -> str:
        path = f"{self.directory}/{name}-{next(self._numbers)}"
        self.do(f"import os; os.mkdir({path!r}); os.chmod({path!r}, 0o755)")
        return path

    def run(self, *argv: str, **fields: Any) -> Result:
        """Run a command, as root in / with PATH alone on a new overlay unless `fields` of Command say otherwise."""
        root = fields.pop("root", None) or self.overlay()
        command = Command(argv=argv, env=(f"PATH={PATH}",), cwd="/", uid=0, gid=0, groups=(), root=root)
        return self.run_command(replace(command, **fields))

    def shell(self, script: str, **fields: Any) -> Result:
        return self.run("sh", "-c", script, **fields)

    def run_command(self, command: Command) -> Result:
        answer = self.do(f"result = run({command!r})")
        lines = [(stream, line) for stream, line in answer["lines"]]
        return Result(
            status=answer.get("status"), lines=lines, error=answer.get("error", ""), hint=answer.get("hint") or ""
        )

    def tree(self, root: str) -> dict[str, str]:
        """What is in a directory, e.g. an upper one: path to ``kind mode uid gid``, relative, directories too."""
        listing: dict[str, str] = self.do(
            f"""
import os, stat
result = {{}}
for directory, names, files in os.walk({root!r}):
    for name in (*names, *files):
        path = os.path.join(directory, name)
        status = os.lstat(path)
        kind = "whiteout" if stat.S_ISCHR(status.st_mode) and not status.st_rdev else stat.filemode(status.st_mode)
        if stat.S_ISDIR(status.st_mode) and any(a.endswith("overlay.opaque") for a in os.listxattr(path)):
            kind += " opaque"
        result[os.path.relpath(path, {root!r})] = f"{{kind}} {{status.st_uid}} {{status.st_gid}}"
"""
        )
        return listing


def processes_with(argument: str) -> list[int]:
    """The ids of all processes of the machine that have `argument` in their command line."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if argument.encode() in path.read_bytes().split(b"\0"):
                found.append(int(path.parent.name))
        except OSError:
            continue
    return found
