"""Entering a user namespace of one's own (user_namespaces(7)): which ids it gets, whether it works, and doing it."""

from __future__ import annotations

import os
import pickle
import pwd
from collections.abc import Callable
from contextlib import suppress
from typing import Literal, NamedTuple

from builder import process
from builder.errors import BuilderError
from builder.isolation import idmap
from builder.isolation.idmap import IdMap
from builder.linux.capabilities import Capability, effective
from builder.linux.libc import SyscallError
from builder.linux.mount import MS_PRIVATE, MS_REC, mount
from builder.linux.namespaces import (
    CLONE_NEWIPC,
    CLONE_NEWNS,
    CLONE_NEWPID,
    CLONE_NEWUSER,
    CLONE_NEWUTS,
    unshare,
)

_SECONDS = 10.0
_Pipe = tuple[int, int]


class Plan(NamedTuple):
    """How this process gets the right to make namespaces.

    Attributes:
        how: ``none``: it has it, as real root with CAP_SYS_ADMIN. Else it enters a user namespace whose map is written
            ``directly`` by a root that may map all ids it has, by newuidmap and newgidmap (``subordinate``), or by
            itself, for its own id alone (``single``).
        id_map: what is to be mapped.
    """

    how: Literal["none", "directly", "subordinate", "single"]
    id_map: IdMap


def plan() -> Plan:
    """The best that this user can hope for."""
    uid, gid, held = os.geteuid(), os.getegid(), effective()
    if uid == 0 and Capability.SYS_ADMIN in held:
        return Plan(how="none", id_map=idmap.current())
    if uid == 0 and {Capability.SETUID, Capability.SETGID} <= held:
        here = idmap.current()
        return Plan(how="directly", id_map=IdMap(uids=idmap.identity(here.uids), gids=idmap.identity(here.gids)))
    user = _user_name(uid)
    uids = idmap.subordinate("/etc/subuid", user, uid)
    gids = idmap.subordinate("/etc/subgid", user, uid)
    own = idmap.single(uid, gid, explanation=_grant_advice(user))
    if not uids or not gids:
        return Plan(how="single", id_map=own)
    return Plan(how="subordinate", id_map=IdMap(uids=own.uids + uids, gids=own.gids + gids))


def probe(wanted: Plan) -> None:
    """Try in a child process whether namespaces can be made; a process that has half entered one cannot go back.

    Raises OSError saying what is refused.
    """
    entered, mapped, result = os.pipe(), os.pipe(), os.pipe()
    pid = os.fork()
    if pid == 0:
        _report(result[1], lambda: _try_namespaces(wanted, entered, mapped))
    for descriptor in (entered[1], mapped[0], result[1]):
        os.close(descriptor)
    failure = b""
    try:
        if wanted.how == "directly" and os.read(entered[0], 1):
            _write_maps(pid, wanted.id_map)
            os.write(mapped[1], b"1")
    finally:
        for descriptor in (entered[0], mapped[1]):
            os.close(descriptor)
        failure = _read_all(result[0])
        os.waitpid(pid, 0)
    if failure:
        raise SyscallError(*pickle.loads(failure))


def enter(wanted: Plan) -> IdMap:
    """Put this process into the user namespace of `wanted`; returns the ids that it has got.

    Where newuidmap or newgidmap fails a single id is mapped, and the explanation says why. Must be called before there
    are threads. Raises OSError if the process could not enter and is as it was.
    """
    if wanted.how == "none":
        return wanted.id_map
    uid, gid = os.geteuid(), os.getegid()
    problem = _enter_mapped(wanted)
    if problem is not None:
        _map_own(uid, gid)
    return idmap.current(explanation=problem)


def _enter_mapped(wanted: Plan) -> str | None:
    """Unshare while a child that stays outside writes the maps. Returns why not all ids are mapped."""
    if wanted.how == "single":
        unshare(CLONE_NEWUSER)
        return wanted.id_map.explanation
    target, entered, answer = os.getpid(), os.pipe(), os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(entered[1])
        if os.read(entered[0], 1):
            os.write(answer[1], pickle.dumps(_map_from_outside(target, wanted)))
        os._exit(0)
    os.close(answer[1])
    try:
        unshare(CLONE_NEWUSER)
        os.write(entered[1], b"1")
    finally:
        os.close(entered[1])
        os.close(entered[0])
        reply = _read_all(answer[0])
        os.waitpid(pid, 0)
    if not reply:
        return "the process that maps the ids has ended"
    problem: str | None = pickle.loads(reply)
    return problem


def _map_from_outside(target: int, wanted: Plan) -> str | None:
    """Write the maps of process `target`; returns what went wrong."""
    try:
        if wanted.how == "directly":
            _write_maps(target, wanted.id_map)
            return None
        for program, ranges in (("newuidmap", wanted.id_map.uids), ("newgidmap", wanted.id_map.gids)):
            numbers = " ".join(str(ids) for ids in ranges).split()
            done = process.run((program, str(target), *numbers), timeout=_SECONDS)
            if done.status:
                return f"{program} failed: {done.stderr.decode(errors='replace').strip()}"
    except BuilderError as error:
        return f"{error.message}; it is in the package uidmap (Debian, Ubuntu) or shadow-utils"
    except OSError as error:
        return str(error)
    return None


def _map_own(uid: int, gid: int) -> None:
    """Map this process's own ids to root, where no map has been written. Without CAP_SETGID that costs setgroups(2)."""
    if not _has_map("gid_map"):
        with suppress(FileNotFoundError):
            _write("/proc/self/setgroups", "deny")
        _write("/proc/self/gid_map", f"0 {gid} 1")
    if not _has_map("uid_map"):
        _write("/proc/self/uid_map", f"0 {uid} 1")


def _has_map(name: str) -> bool:
    with open(f"/proc/self/{name}", "rb") as file:
        return bool(file.read())


def _write_maps(pid: int, ids: IdMap) -> None:
    _write(f"/proc/{pid}/gid_map", "\n".join(str(part) for part in ids.gids))
    _write(f"/proc/{pid}/uid_map", "\n".join(str(part) for part in ids.uids))


def _write(path: str, content: str) -> None:
    """The kernel takes a map in one write only."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(descriptor, content.encode())
        finally:
            os.close(descriptor)
    except OSError as error:
        raise SyscallError("write", error.errno or 0, path) from None


def _try_namespaces(wanted: Plan, entered: _Pipe, mapped: _Pipe) -> None:
    """All that `enter` and a command's sandbox will do, in a child."""
    os.close(entered[0])
    os.close(mapped[1])
    if wanted.how != "none":
        uid, gid = os.geteuid(), os.getegid()
        unshare(CLONE_NEWUSER)
        if wanted.how == "directly":
            os.write(entered[1], b"1")
            if not os.read(mapped[0], 1):
                return  # the parent says why
        else:
            _map_own(uid, gid)
    unshare(CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS)
    mount("none", "/", flags=MS_PRIVATE | MS_REC)


def _report(result: int, action: Callable[[], None]) -> None:
    """Do it, write an error as (call, errno, subject), and end the process."""
    try:
        action()
    except SyscallError as error:
        os.write(result, pickle.dumps((error.call, error.errno, error.subject)))
    except OSError as error:
        os.write(result, pickle.dumps(("open", error.errno, str(error.filename or ""))))
    finally:
        os._exit(0)


def _read_all(descriptor: int) -> bytes:
    with open(descriptor, "rb") as file:
        return file.read()


def _user_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _grant_advice(user: str) -> str:
    return (
        f"user {user} has no subordinate ids, so there is only one user in the image's files and commands; "
        f"add the line {user}:100000:65536 to /etc/subuid and /etc/subgid, and install newuidmap (package uidmap)"
    )
