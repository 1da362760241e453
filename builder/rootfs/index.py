"""The headers of one layer: what the FileTree needs of it, kept so that its blob need not be read again."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from builder.layer.entry import BytesContent, Entry, Kind
from builder.layer.paths import split
from builder.layer.whiteouts import is_reserved, opaque_directory, whited_out

_VERSION = 2
KEPT_FILES = ("etc/passwd", "etc/group")
"""Files whose bytes are kept in the index: USER and --chown look names up in them."""
MAX_KEPT = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerIndex:
    """The members of a layer in their order.

    Attributes:
        members: path and entry; entries of KEPT_FILES have their bytes as content, others none.
        self_contained: each parent directory has a header before what is in it, no path runs through a link, and
            hardlinks point to files of this layer: the layer can be unpacked without those below it.
    """

    members: tuple[tuple[str, Entry], ...]
    self_contained: bool

    def to_json(self) -> bytes:
        rows = [_row(path, entry) for path, entry in self.members]
        return json.dumps({"version": _VERSION, "self_contained": self.self_contained, "members": rows}).encode()

    @classmethod
    def from_json(cls, data: bytes) -> LayerIndex | None:
        """Read what `to_json` wrote; None if it is of another version or damaged."""
        try:
            document = json.loads(data)
            if document["version"] != _VERSION:
                return None
            members = tuple(_member(row) for row in document["members"])
            return cls(members=members, self_contained=bool(document["self_contained"]))
        except (ValueError, KeyError, TypeError, IndexError, AttributeError):
            return None


def is_self_contained(members: Iterable[tuple[str, Entry]]) -> bool:
    """Whether a layer of these members can be unpacked by itself."""
    directories, others = {""}, set[str]()
    for path, entry in members:
        if is_reserved(path) and opaque_directory(path) is None:
            continue
        if split(path)[0] not in directories:
            return False
        if opaque_directory(path) is not None or whited_out(path) is not None:
            continue
        if entry.kind is Kind.DIRECTORY:
            directories.add(path)
            others.discard(path)
            continue
        if path in directories:
            # What was in the directory is gone with it.
            directories = {each for each in directories if each != path and not each.startswith(f"{path}/")}
            others = {each for each in others if not each.startswith(f"{path}/")}
        if entry.kind is Kind.HARDLINK and entry.link not in others:
            return False
        others.add(path)
    return True


def _row(path: str, entry: Entry) -> list[Any]:
    xattrs = None
    if entry.xattrs:
        xattrs = {name: base64.b64encode(value).decode() for name, value in entry.xattrs.items()}
    kept = None
    if isinstance(entry.content, BytesContent):
        kept = base64.b64encode(entry.content.data).decode()
    row: list[Any] = [path, int(entry.kind), entry.mode, entry.uid, entry.gid, entry.size, entry.mtime]
    rare = [entry.link, entry.device, xattrs, kept]
    return row + rare if any(rare) else row


def _member(row: list[Any]) -> tuple[str, Entry]:
    path, kind, mode, uid, gid, size, mtime = row[:7]
    if len(row) == 7:
        return path, Entry(_KINDS[kind], mode, uid, gid, size, mtime)
    link, device, xattrs, kept = row[7:]
    return path, Entry(
        _KINDS[kind],
        mode,
        uid,
        gid,
        size,
        mtime,
        link,
        tuple(device) if device else None,
        {name: base64.b64decode(value, validate=True) for name, value in xattrs.items()} if xattrs else None,
        BytesContent(base64.b64decode(kept, validate=True)) if kept is not None else None,
    )


_KINDS = {int(kind): kind for kind in Kind}
