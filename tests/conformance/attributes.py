"""Files as cases write them down: a path to a text, or to a mapping of attributes. Parsed here, once.

plain: "its text\n"
directory/: {mode: 0700, owner: 1000:50}
link: {link: target}
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_CAPABILITIES = {"chown": 0, "net_bind_service": 10, "net_raw": 13}
_KNOWN = {
    "text", "repeat", "mode", "owner", "mtime", "link", "hardlink", "hardlinks", "xattrs", "type", "device",
    "like", "content", "archive", "members", "headers", "status", "raw",
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Attributes:
    """What a case says of one path; None where it says nothing.

    Attributes:
        type: file, directory, symlink, hardlink, fifo, char or block.
        link: the target of a symlink or of a hardlink.
        hardlinks: all paths of the same file.
        xattrs: name to value in hexadecimal.
        like: a path of the base that this one is like, but for what else is said.
        any_content: size and digest are not compared.
        archive: the compression of an archive, whose entries are `members`.
        headers: of an HTTP answer; `status` is its code.
    """

    type: str
    data: bytes | None = None
    mode: int | None = None
    owner: tuple[int, int] | None = None
    mtime: int | None = None
    link: str = ""
    hardlinks: tuple[str, ...] | None = None
    xattrs: Mapping[str, str] | None = None
    device: tuple[int, int] | None = None
    like: str | None = None
    any_content: bool = False
    archive: str | None = None
    members: tuple[tuple[str, Attributes], ...] = ()
    headers: Mapping[str, str] | None = None
    status: int = 200


def parse_files(files: Mapping[str, Any] | str) -> dict[str, Attributes]:
    """The `files`, `context` or `served` mapping of a case, as yaml's BaseLoader has it (every scalar a string)."""
    return {path.rstrip("/") or "/": parse_attributes(path, value) for path, value in (files or {}).items()}


def parse_attributes(path: str, value: Any) -> Attributes:
    """The attributes at one path; one that ends in a slash is a directory. Raises ValueError."""
    said: dict[str, Any] = {"text": value} if isinstance(value, str) else dict(value)
    if unknown := said.keys() - _KNOWN:
        raise ValueError(f"{path}: unknown attributes: {', '.join(sorted(unknown))}")
    link = said.get("link", said.get("hardlink", ""))
    return Attributes(
        type=_type(path, said),
        data=_data(path, said),
        mode=int(said["mode"], 8) if "mode" in said else None,
        owner=_pair(said["owner"]) if "owner" in said else None,
        mtime=int(said["mtime"]) if "mtime" in said else None,
        link=link,
        hardlinks=tuple(sorted(said["hardlinks"])) if "hardlinks" in said else None,
        xattrs={name: _xattr(text) for name, text in said["xattrs"].items()} if "xattrs" in said else None,
        device=_pair(said["device"]) if "device" in said else None,
        like=said.get("like"),
        any_content=said.get("content") == "any",
        archive=said.get("archive"),
        members=tuple((name, parse_attributes(name, member)) for name, member in said.get("members", {}).items()),
        headers=said.get("headers"),
        status=int(said.get("status", 200)),
    )


def capability(name: str) -> bytes:
    """``security.capability`` of revision 2 with one permitted capability and the effective bit."""
    return struct.pack("<IIIII", 0x02000001, 1 << _CAPABILITIES[name], 0, 0, 0)


def _type(path: str, said: Mapping[str, Any]) -> str:
    if "type" in said:
        return str(said["type"])
    if path.endswith("/"):
        return "directory"
    if "link" in said:
        return "symlink"
    return "hardlink" if "hardlink" in said else "file"


def _data(path: str, said: Mapping[str, Any]) -> bytes | None:
    if "raw" in said:
        return bytes.fromhex(said["raw"])
    if "text" not in said or path.endswith("/"):
        return None
    return bytes(said["text"].encode() * int(said.get("repeat", 1)))


def _xattr(text: str) -> str:
    """``cap:NAME`` is a capability, ``text:VALUE`` those characters, all else hexadecimal."""
    kind, _, value = text.partition(":")
    if kind == "cap":
        return capability(value).hex()
    return value.encode().hex() if kind == "text" else text


def _pair(text: str) -> tuple[int, int]:
    first, _, second = text.partition(":")
    return int(first), int(second)
