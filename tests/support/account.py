"""The ordinary user that builds run as, and a Python with the builder installed that this user can execute."""

from __future__ import annotations

import fcntl
import os
import pwd
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

_NAME = "builder-test"
_VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"
_PROJECT = Path(__file__).resolve().parents[2]
_UNNEEDED = ("site-packages", "test", "idlelib", "tkinter", "ensurepip", "config-*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """A user of this machine; what `subprocess` needs to become that user."""

    name: str
    uid: int
    gid: int

    @classmethod
    def current(cls) -> Account:
        entry = pwd.getpwuid(os.getuid())
        return cls(name=entry.pw_name, uid=entry.pw_uid, gid=entry.pw_gid)

    def switch(self) -> dict[str, Any]:
        """What `subprocess` takes to run a program as this user; nothing where that is the current one."""
        if self.uid == os.getuid():
            return {}
        return {"user": self.uid, "group": self.gid, "extra_groups": []}


def ordinary_user() -> Account:
    """Whoever runs the tests, if that is not root; else the user ``builder-test``, made where it is missing."""
    if os.getuid() != 0:
        return Account.current()
    with open("/var/lock/builder-tests.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not _exists(_NAME):
            subprocess.run(["useradd", "--create-home", "--shell=/usr/sbin/nologin", _NAME], check=True)
        for file, option in (("/etc/subuid", "--add-subuids"), ("/etc/subgid", "--add-subgids")):
            if not _has_range(Path(file), _NAME):
                subprocess.run(["usermod", option, _free_range(Path(file)), _NAME], check=True)
    entry = pwd.getpwnam(_NAME)
    return Account(name=_NAME, uid=entry.pw_uid, gid=entry.pw_gid)


def _exists(name: str) -> bool:
    return any(entry.pw_name == name for entry in pwd.getpwall())


def _has_range(file: Path, name: str) -> bool:
    return file.exists() and any(line.startswith(f"{name}:") for line in file.read_text().splitlines())


def _free_range(file: Path) -> str:
    """65536 ids above every range that is given away."""
    lines = file.read_text().splitlines() if file.exists() else []
    ends = [int(start) + int(count) for _, start, count in (line.split(":") for line in lines if line.count(":") == 2)]
    first = max([100_000, *ends])
    return f"{first}-{first + 65535}"


def readable_python(account: Account, directory: Path) -> Path:
    """A Python that `account` can execute, with the builder and what it needs installed.

    The work tree, its virtual environment and the interpreter below may all sit in a directory that only root enters,
    so the builder and its dependencies are copied to a virtual environment in `directory`. The interpreter is this
    one, else the system's of the same version, else a copy of this one.
    """
    own, system = Path(os.path.realpath(sys.executable)), Path(f"/usr/bin/python{_VERSION}")
    interpreter = next((python for python in (own, system) if _runs(python, account)), None)
    interpreter = interpreter or _copy_interpreter(directory / "python")
    environment = directory / "venv"
    subprocess.run([interpreter, "-m", "venv", "--without-pip", environment], check=True)
    packages = environment / "lib" / f"python{_VERSION}" / "site-packages"
    for source, name in _dependencies():
        (packages / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, packages / name)
    shutil.copytree(_PROJECT / "builder", packages / "builder", ignore=shutil.ignore_patterns("__pycache__"))
    python = environment / "bin/python"
    subprocess.run([python, "-m", "compileall", "-q", packages], check=True)
    subprocess.run(["chmod", "-R", "a+rX", directory], check=True)
    if not _runs(python, account):
        raise RuntimeError(f"{account.name} cannot execute {own}, nor a copy of it; install {system}")
    return python


def _runs(python: Path, account: Account) -> bool:
    command = [str(python), "-c", "import ctypes, ssl, venv"]
    try:
        return bool(subprocess.run(command, cwd="/", env={}, capture_output=True, **account.switch()).returncode == 0)
    except PermissionError:
        return False


def _copy_interpreter(prefix: Path) -> Path:
    """A copy of this Python's base installation (without what is installed in it); returns its executable."""
    library = Path(sysconfig.get_path("stdlib"))
    name = library.name
    shutil.copytree(library, prefix / "lib" / name, symlinks=True, ignore=shutil.ignore_patterns(*_UNNEEDED))
    for shared in library.parent.glob("libpython*.so*"):
        shutil.copy2(shared, prefix / "lib")
    (prefix / "bin").mkdir()
    return Path(shutil.copy2(os.path.realpath(sys.executable), prefix / "bin" / name))


def _dependencies() -> Iterator[tuple[Path, str]]:
    """The files of every distribution that the builder needs to run, with their names below site-packages."""
    waiting, seen = ["builder"], set()
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        distribution = metadata.distribution(name)
        waiting += [_name(need) for need in distribution.requires or [] if "extra ==" not in need]
        for file in distribution.files or [] if name != "builder" else []:
            if ".." not in file.parts and file.suffix != ".pyc":
                yield Path(str(file.locate())), str(file)


def _name(requirement: str) -> str:
    """``requests`` of ``requests[socks]>=2.31; python_version < "4"``."""
    name = requirement.split(";")[0].strip()
    return name[: next((i for i, letter in enumerate(name) if not (letter.isalnum() or letter in "._-")), len(name))]
