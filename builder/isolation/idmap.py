"""Which user and group ids can be used, and where they come from (user_namespaces(7), subuid(5))."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class IdRange:
    """`count` ids from `inside` on, which are those from `outside` on in the parent user namespace."""

    inside: int
    outside: int
    count: int

    def __contains__(self, number: int) -> bool:
        return self.inside <= number < self.inside + self.count

    def __str__(self) -> str:
        return f"{self.inside} {self.outside} {self.count}"


@dataclass(frozen=True, slots=True, kw_only=True)
class IdMap:
    """The ids that files can be owned by and commands can run as.

    Attributes:
        uids, gids: what is mapped.
        explanation: why there is only a single id, and what to do about it; None where there are more.
    """

    uids: tuple[IdRange, ...]
    gids: tuple[IdRange, ...]
    explanation: str | None = None

    @property
    def single(self) -> bool:
        """Whether only one user can be used, so that every chown to another one fails."""
        return sum(ids.count for ids in self.uids) == 1

    @property
    def single_group(self) -> bool:
        """Whether only one group can be used; the kernel then forbids setgroups(2)."""
        return sum(ids.count for ids in self.gids) == 1

    def has_uid(self, uid: int) -> bool:
        return any(uid in ids for ids in self.uids)

    def has_gid(self, gid: int) -> bool:
        return any(gid in ids for ids in self.gids)


def current(*, explanation: str | None = None) -> IdMap:
    """The map of the user namespace that this process is in."""
    return IdMap(uids=_read("/proc/self/uid_map"), gids=_read("/proc/self/gid_map"), explanation=explanation)


def own(*, explanation: str | None = None) -> IdMap:
    """Only the ids that this process has, for one that cannot take others."""
    uid, gid = os.geteuid(), os.getegid()
    return IdMap(uids=(IdRange(uid, uid, 1),), gids=(IdRange(gid, gid, 1),), explanation=explanation)


def single(uid: int, gid: int, *, explanation: str) -> IdMap:
    """Root inside is `uid` and `gid` outside, and nobody else."""
    return IdMap(uids=(IdRange(0, uid, 1),), gids=(IdRange(0, gid, 1),), explanation=explanation)


def identity(ranges: Iterable[IdRange]) -> tuple[IdRange, ...]:
    """A map for a nested user namespace in which every id of this one is itself."""
    return tuple(IdRange(ids.inside, ids.inside, ids.count) for ids in ranges)


def subordinate(path: str, name: str, uid: int) -> tuple[IdRange, ...]:
    """What the file (/etc/subuid or /etc/subgid) grants to the user, by name or number, for the ids from 1 on.

    Lines that cannot be understood are passed over, as newuidmap does; a missing file grants nothing.
    """
    try:
        with open(path, "rb") as file:
            lines = os.fsdecode(file.read()).splitlines()
    except OSError:
        return ()
    inside, found = 1, []
    for start, count in _grants(lines, {name, str(uid)}):
        found.append(IdRange(inside, start, count))
        inside += count
    return tuple(found)


def _grants(lines: list[str], owners: set[str]) -> Iterable[tuple[int, int]]:
    for line in lines:
        owner, _, numbers = line.strip().partition(":")
        start, _, count = numbers.partition(":")
        if owner in owners and start.isdecimal() and count.isdecimal() and int(count):
            yield int(start), int(count)


def _read(path: str) -> tuple[IdRange, ...]:
    try:
        with open(path, "rb") as file:
            rows = [line.split() for line in file.read().splitlines()]
    except FileNotFoundError:  # a kernel without user namespaces
        return (IdRange(0, 0, 2**32 - 1),)
    return tuple(IdRange(int(inside), int(outside), int(count)) for inside, outside, count in rows)
