"""The last steps of a command's process before it becomes the command."""

from __future__ import annotations

import errno
import os
import stat
from typing import NoReturn

from builder.errors import IsolationError
from builder.isolation.command import Command
from builder.isolation.sandbox.signals import restore_defaults
from builder.linux import capabilities

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_NOT_FOUND, _NOT_EXECUTABLE = 127, 126


def execute(command: Command, stdout: int, stderr: int, *, set_groups: bool) -> NoReturn:
    """Become the command. If there is no such program, its error output says so and the status is 127 or 126."""
    os.setsid()
    restore_defaults()
    os.umask(0o022)
    _redirect(stdout, stderr, command.uid)
    _enter(command.cwd)
    _become(command, set_groups=set_groups)
    _execute_program(command)


def _redirect(stdout: int, stderr: int, uid: int) -> None:
    """Also give the pipes to the user: otherwise /dev/stdout could not be opened."""
    null = os.open("/dev/null", os.O_RDONLY)
    for source, target in ((null, 0), (stdout, 1), (stderr, 2)):
        os.dup2(source, target)
    os.fchown(1, uid, -1)
    os.fchown(2, uid, -1)


def _enter(directory: str) -> None:
    path = os.path.join("/", directory)
    try:
        os.makedirs(path, 0o755, exist_ok=True)
        os.chdir(path)
    except (FileExistsError, NotADirectoryError):
        raise IsolationError(f"cannot run in the working directory {path}: it is not a directory") from None


def _become(command: Command, *, set_groups: bool) -> None:
    """Take on user, groups and capabilities; only root has any in effect. The helper has limited what can be had."""
    allowed = capabilities.CONTAINER_DEFAULT & capabilities.effective()
    if set_groups:
        os.setgroups(command.groups)
    os.setresgid(command.gid, command.gid, command.gid)
    os.setresuid(command.uid, command.uid, command.uid)
    capabilities.set_effective(allowed if command.uid == 0 else ())


def _execute_program(command: Command) -> NoReturn:
    environment = dict(entry.split("=", 1) for entry in command.env if "=" in entry)
    try:
        program = _find(command.argv[0], environment.get("PATH", DEFAULT_PATH))
        os.execve(program, command.argv, environment)
    except _NotRunnable as problem:
        _give_up(problem.message, problem.status)
    except ValueError as error:  # a null byte in an argument or variable
        raise IsolationError(f"cannot start {command.argv[0]!r}: {error}") from None
    except OSError as error:
        reason = os.strerror(error.errno or 0).lower()
        if error.errno == errno.ENOENT:
            _give_up(f"exec {program}: {reason} (the interpreter that it needs is missing)", _NOT_FOUND)
        _give_up(f"exec {program}: {reason}", _NOT_EXECUTABLE)


class _NotRunnable(Exception):
    def __init__(self, message: str, status: int) -> None:
        self.message, self.status = message, status


def _find(name: str, path: str) -> str:
    """Where the program is; runc's words if it is not."""
    if "/" not in name:
        for directory in path.split(":"):
            candidate = os.path.join(directory or ".", name)
            if os.path.isfile(candidate) and os.access(candidate, os.X_OK):
                return candidate
        raise _NotRunnable(f'exec: "{name}": executable file not found in $PATH', _NOT_FOUND)
    try:
        mode = os.stat(name).st_mode
    except OSError as error:
        status = _NOT_EXECUTABLE if error.errno == errno.EACCES else _NOT_FOUND
        reason = os.strerror(error.errno or 0).lower()
        raise _NotRunnable(f'exec: "{name}": stat {name}: {reason}', status) from None
    if stat.S_ISDIR(mode):
        raise _NotRunnable(f'exec: "{name}": is a directory', _NOT_EXECUTABLE)
    if not os.access(name, os.X_OK):
        raise _NotRunnable(f'exec: "{name}": permission denied', _NOT_EXECUTABLE)
    return name


def _give_up(message: str, status: int) -> NoReturn:
    os.write(2, os.fsencode(message) + b"\n")
    os._exit(status)
