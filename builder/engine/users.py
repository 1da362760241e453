"""Names of users and groups, looked up in the image's own /etc/passwd and /etc/group (passwd(5), group(5))."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from builder.errors import BuilderError
from builder.layer.entry import Kind
from builder.rootfs.tree import FileTree

_MAX_BYTES = 1 << 24
_MAX_ID = 2**32 - 2


class UnknownUser(BuilderError):
    """A user or group that the image does not have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """As whom a command runs; `home` is where HOME points unless the environment says otherwise."""

    uid: int
    gid: int
    groups: tuple[int, ...] = ()
    home: str = "/"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Account:
    name: str
    uid: int
    gid: int
    home: str


def process_user(tree: FileTree, user: str) -> Process:
    """As whom a RUN under ``USER user`` runs (``name``, ``uid``, with ``:group`` or ``:gid``; "" is root).

    Without a group: the user's primary group and the groups of /etc/group that list it. Numbers need no entry.
    Raises UnknownUser.
    """
    name, colon, group = user.partition(":")
    name = name or "0"
    account = _account(tree, name)
    if account is None:
        uid = _number(name)
        if uid is None:
            raise UnknownUser(f"the image has no user {name!r}", hint="add it with useradd, or give its number")
        account = _Account(name="", uid=uid, gid=0, home="/")
    if colon and group:
        return Process(uid=account.uid, gid=_group(tree, group), home=account.home)
    groups = tuple(sorted({gid for _, gid, members in _groups(tree) if account.name and account.name in members}))
    return Process(uid=account.uid, gid=account.gid, groups=groups, home=account.home)


def file_owner(tree: FileTree, owner: str) -> tuple[int, int]:
    """The uid and gid that ``--chown owner`` (and a WORKDIR's USER) gives files; a bare number is both.

    Raises UnknownUser.
    """
    name, _, group = owner.partition(":")
    uid = _number(name)
    if uid is not None:
        gid = uid
    elif name:
        account = _account(tree, name)
        if account is None:
            raise UnknownUser(f"the image has no user {name!r}", hint="add it with useradd, or give its number")
        uid, gid = account.uid, account.gid
    else:
        uid, gid = 0, 0
    return uid, _group(tree, group) if group else gid


def _account(tree: FileTree, name: str) -> _Account | None:
    number = _number(name)
    for fields in _lines(tree, "etc/passwd"):
        if len(fields) < 4:
            continue
        uid, gid = _number(fields[2]), _number(fields[3])
        if uid is not None and gid is not None and (fields[0] == name or uid == number):
            return _Account(name=fields[0], uid=uid, gid=gid, home=fields[5] if len(fields) > 5 else "/")
    return None


def _group(tree: FileTree, group: str) -> int:
    number = _number(group)
    if number is not None:
        return number
    for name, gid, _ in _groups(tree):
        if name == group:
            return gid
    raise UnknownUser(f"the image has no group {group!r}", hint="add it with groupadd, or give its number")


def _groups(tree: FileTree) -> Iterator[tuple[str, int, list[str]]]:
    for fields in _lines(tree, "etc/group"):
        gid = _number(fields[2]) if len(fields) > 2 else None
        if gid is not None:
            yield fields[0], gid, fields[3].split(",") if len(fields) > 3 else []


def _lines(tree: FileTree, path: str) -> Iterator[list[str]]:
    entry = tree.find(path).entry
    if entry is None or entry.kind is not Kind.FILE or entry.content is None or entry.size > _MAX_BYTES:
        return
    with entry.content.open() as stream:
        text = stream.read().decode("utf-8", "surrogateescape")
    for line in text.split("\n"):
        if line.strip() and not line.startswith("#"):
            yield line.strip().split(":")


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and int(text) <= _MAX_ID else None
