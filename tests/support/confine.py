"""Become an ordinary user in a user namespace that allows no further ones, and execute a program there.

    confine.py UID GID PROGRAM [ARGUMENT...]

The limit (``user.max_user_namespaces``) belongs to the new namespace, so nothing changes for the rest of the machine.
Run as root, every id keeps its number and the program gets no capability; run as anyone else, UID and GID must be their
own. The process stays the same one: a signal sent to it reaches the program.
"""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path

_CLONE_NEWUSER = 0x10000000
_EVERY_ID = "0 0 4294967295"


def main(uid: int, gid: int, command: list[str]) -> None:
    privileged = os.getuid() == 0
    ask, asked = os.pipe()
    answer, answered = os.pipe()
    if os.fork() == 0:  # ids can only be mapped from outside the new namespace
        os.close(asked)
        if os.read(ask, 1) != b"u":
            os._exit(1)
        _map(os.getppid(), _EVERY_ID if privileged else f"{uid} {uid} 1", _EVERY_ID if privileged else f"{gid} {gid} 1")
        os.write(answered, b"m")
        os._exit(0)
    if ctypes.CDLL(None, use_errno=True).unshare(_CLONE_NEWUSER) != 0:
        raise OSError(ctypes.get_errno(), "unshare(CLONE_NEWUSER)")
    os.close(answered)
    os.write(asked, b"u")
    if os.read(answer, 1) != b"m":
        raise RuntimeError("the ids of the new namespace could not be mapped")
    os.wait()
    os.close(ask)
    os.close(asked)
    os.close(answer)
    Path("/proc/sys/user/max_user_namespaces").write_text("0")
    if privileged:
        os.setgroups([])
        os.setresgid(gid, gid, gid)
        os.setresuid(uid, uid, uid)
    os.execvp(command[0], command)


def _map(process: int, uids: str, gids: str) -> None:
    directory = Path("/proc") / str(process)
    if os.getuid() != 0:
        (directory / "setgroups").write_text("deny")
    (directory / "uid_map").write_text(uids)
    (directory / "gid_map").write_text(gids)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:])
