"""Makes the files that a case describes: contexts, archives, with modes, owners, times, links and xattrs."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import stat
import tarfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from conformance.attributes import Attributes

DEFAULT_MTIME = 1_500_000_000
"""Of every file that a case gives no other time."""
_TYPES = {
    "file": tarfile.REGTYPE,
    "directory": tarfile.DIRTYPE,
    "symlink": tarfile.SYMTYPE,
    "hardlink": tarfile.LNKTYPE,
    "fifo": tarfile.FIFOTYPE,
    "char": tarfile.CHRTYPE,
    "block": tarfile.BLKTYPE,
}


def _zstd(data: bytes) -> bytes:
    import zstandard

    return zstandard.ZstdCompressor().compress(data)


_COMPRESSIONS: Mapping[str, Callable[[bytes], bytes]] = {
    "plain": bytes,
    "gzip": lambda data: gzip.compress(data, mtime=0),
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "zstd": _zstd,
    "truncated-gzip": lambda data: gzip.compress(data, 0, mtime=0)[:3000],
}


def make_files(files: Mapping[str, Attributes], directory: Path, owner: tuple[int, int]) -> None:
    """Make `files` below `directory`; those that name no owner belong to `owner`."""
    for path, attributes in files.items():
        target = directory / path
        for parent in reversed(target.relative_to(directory).parents):
            (directory / parent).mkdir(mode=0o755, exist_ok=True)
        _make(attributes, target, directory)
    made = [Path(root) / name for root, *names in os.walk(directory) for name in [*names[0], *names[1]]]
    described = {directory / path: attributes for path, attributes in files.items()}
    for path in sorted(made, reverse=True):  # children first: making them changed their parent's time
        _dress(path, described.get(path), owner)
    _dress(directory, described.get(directory / "."), owner)


def _make(attributes: Attributes, target: Path, directory: Path) -> None:
    if attributes.type == "directory":
        target.mkdir(exist_ok=True)
    elif attributes.type == "symlink":
        target.symlink_to(attributes.link)
    elif attributes.type == "hardlink":
        target.hardlink_to(directory / attributes.link)
    elif attributes.type == "fifo":
        os.mkfifo(target)
    elif attributes.type in ("char", "block"):
        kind = stat.S_IFCHR if attributes.type == "char" else stat.S_IFBLK
        os.mknod(target, kind | 0o644, os.makedev(*attributes.device or (1, 3)))
    else:
        target.write_bytes(content(attributes))


def _dress(path: Path, attributes: Attributes | None, owner: tuple[int, int]) -> None:
    """Owner first, because changing it takes setuid bits and capabilities away."""
    if attributes is not None and attributes.type == "hardlink":
        return
    os.chown(path, *(attributes.owner if attributes and attributes.owner else owner), follow_symlinks=False)
    if not path.is_symlink():
        default = 0o755 if path.is_dir() else 0o644
        mode = attributes.mode if attributes else None
        path.chmod(default if mode is None else mode)
    for name, value in (attributes.xattrs if attributes and attributes.xattrs else {}).items():
        os.setxattr(path, name, bytes.fromhex(value), follow_symlinks=False)
    mtime = attributes.mtime if attributes else None
    seconds = DEFAULT_MTIME if mtime is None else mtime
    os.utime(path, (seconds, seconds), follow_symlinks=False)


def content(attributes: Attributes) -> bytes:
    """The bytes of a file: its text, or the archive that it is."""
    if attributes.archive is None:
        return attributes.data or b""
    return _COMPRESSIONS[attributes.archive](_tar(attributes.members))


def _tar(members: Sequence[tuple[str, Attributes]]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT, errors="surrogateescape") as archive:
        for name, attributes in members:
            header = tarfile.TarInfo(name)
            header.name = name  # as written, ``../`` and all
            header.type = _TYPES[attributes.type]
            default = 0o755 if attributes.type == "directory" else 0o644
            header.mode = default if attributes.mode is None else attributes.mode
            header.uid, header.gid = attributes.owner or (0, 0)
            header.mtime = DEFAULT_MTIME if attributes.mtime is None else attributes.mtime
            header.linkname = attributes.link
            header.devmajor, header.devminor = attributes.device or (0, 0)
            for key, value in (attributes.xattrs or {}).items():
                header.pax_headers[f"SCHILY.xattr.{key}"] = bytes.fromhex(value).decode("utf-8", "surrogateescape")
            data = attributes.data or b""
            header.size = len(data) if attributes.type == "file" else 0
            archive.addfile(header, io.BytesIO(data))
    return buffer.getvalue()
