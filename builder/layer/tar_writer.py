"""Tar headers as layers have them: ustar, with a pax header where something does not fit (OCI image-spec layer.md).

The bytes depend on the path and the entry alone: no names of users, no atime or ctime, no padding that varies.
"""

from __future__ import annotations

from builder.layer.entry import Entry, Kind

BLOCK = 512
END = bytes(2 * BLOCK)
_MAX_SIZE, _MAX_ID = 0o77777777777, 0o7777777
_MAGIC = b"ustar\x0000"
_ZEROS = bytes(BLOCK)
_DEVICE = b"0000000\x000000000\x00"


def header(path: str, entry: Entry, hardlink: str | None = None) -> bytes:
    """The header blocks of one member.

    Args:
        path: its path, relative; a directory gets its slash here.
        entry: what it is.
        hardlink: path of the earlier member that it is another name of; None if it stands for itself.
    """
    name = path.encode("utf-8", "surrogateescape")
    kind = int(Kind.HARDLINK if hardlink is not None else entry.kind)
    if kind == Kind.DIRECTORY:
        name += b"/"
    link = (entry.link if hardlink is None else hardlink).encode("utf-8", "surrogateescape")
    size = entry.size if kind == Kind.FILE else 0
    records = _records(name, link, size, entry, kind)
    block = _block(name, link, size, entry, kind)
    if not records:
        return block
    return _pax_member(name, records) + block


def whiteout(name: str) -> bytes:
    """The header of an empty file, which is what whiteouts are."""
    return header(name, Entry(Kind.FILE, 0))


def padding(size: int) -> bytes:
    """The zeros that fill `size` bytes of data up to whole blocks."""
    return _ZEROS[: -size % BLOCK]


def _records(name: bytes, link: bytes, size: int, entry: Entry, kind: int) -> list[tuple[bytes, bytes]]:
    records = []
    if len(name) > 100:
        records.append((b"path", name))
    if len(link) > 100:
        records.append((b"linkpath", link))
    if size > _MAX_SIZE:
        records.append((b"size", b"%d" % size))
    if entry.uid > _MAX_ID:
        records.append((b"uid", b"%d" % entry.uid))
    if entry.gid > _MAX_ID:
        records.append((b"gid", b"%d" % entry.gid))
    if not 0 <= entry.mtime <= _MAX_SIZE:
        records.append((b"mtime", b"%d" % entry.mtime))
    if entry.xattrs and kind != Kind.HARDLINK:
        for key in sorted(entry.xattrs):
            records.append((b"SCHILY.xattr." + key.encode("utf-8", "surrogateescape"), entry.xattrs[key]))
    return records


def _pax_member(name: bytes, records: list[tuple[bytes, bytes]]) -> bytes:
    data = b"".join(_record(key, value) for key, value in records)
    short = b"PaxHeaders.0/" + name.rstrip(b"/").rpartition(b"/")[2][:80]
    block = _block(short, b"", len(data), Entry(Kind.FILE, 0o644), ord("x"))
    return block + data + padding(len(data))


def _record(key: bytes, value: bytes) -> bytes:
    body = b" %s=%s\n" % (key, value)
    length = len(body) + 1
    while len(body) + len(str(length)) != length:
        length = len(body) + len(str(length))
    return b"%d" % length + body


def _block(name: bytes, link: bytes, size: int, entry: Entry, kind: int) -> bytes:
    device = _DEVICE
    if entry.device is not None:
        device = b"%07o\x00%07o\x00" % entry.device
    mtime = entry.mtime if 0 <= entry.mtime <= _MAX_SIZE else 0
    head = b"%s%07o\x00%07o\x00%07o\x00%011o\x00%011o\x00" % (
        name[:100].ljust(100, b"\0"),
        entry.mode,
        min(entry.uid, _MAX_ID),
        min(entry.gid, _MAX_ID),
        min(size, _MAX_SIZE),
        mtime,
    )
    tail = b"%c%s%s%s%s" % (kind, link[:100].ljust(100, b"\0"), _MAGIC, bytes(64), device)
    checksum = sum(head) + sum(tail) + 8 * 0x20
    return (head + b"%06o\x00 " % checksum + tail).ljust(BLOCK, b"\0")
