"""Layers for the tests: written by tarfile from rows, and unpacked by a second, simple implementation of the rules."""

from __future__ import annotations

import gzip
import io
import os
import shutil
import stat
import tarfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from disk import ROOT

from builder.image.descriptor import Descriptor
from builder.image.media_types import OCI_LAYER_GZIP
from builder.rootfs.directory import Ownership
from builder.rootfs.image_files import ImageFiles
from builder.rootfs.unpacked import LayerStore
from builder.storage.blob import Blob, MemoryBlob

Row = tuple[str, ...]
"""("dir", path[, mode]), ("file", path[, text[, mode]]), ("link", path, target), ("hard", path, target),
("gone", path), ("opaque", path), ("pipe", path), ("char", path)"""

_TYPES = {
    "dir": tarfile.DIRTYPE,
    "link": tarfile.SYMTYPE,
    "hard": tarfile.LNKTYPE,
    "pipe": tarfile.FIFOTYPE,
    "char": tarfile.CHRTYPE,
}


def tar_of_rows(*rows: Row) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for number, (kind, path, *rest) in enumerate(rows):
            parent, slash, name = path.rpartition("/")
            if kind == "gone":
                path = f"{parent}{slash}.wh.{name}"
            elif kind == "opaque":
                path = f"{path}/.wh..wh..opq" if path else ".wh..wh..opq"
            info = tarfile.TarInfo(path)
            info.type = _TYPES.get(kind, tarfile.REGTYPE)
            info.mtime = 1_600_000_000 + number
            info.mode = 0o755 if kind == "dir" else 0o644
            data = b""
            if kind in ("link", "hard"):
                info.linkname = rest[0]
            elif kind == "file":
                data = (rest[0] if rest else f"content of {path}").encode()
                info.mode = int(rest[1], 8) if len(rest) > 1 else 0o644
            elif kind == "dir" and rest:
                info.mode = int(rest[0], 8)
            elif kind == "char":
                info.devmajor, info.devminor = 1, 3
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def blob_of(tar: bytes) -> Blob:
    packed = gzip.compress(tar, 1, mtime=0)
    return Blob(descriptor=Descriptor.of(OCI_LAYER_GZIP, packed), source=MemoryBlob(packed))


def blob(*rows: Row) -> Blob:
    return blob_of(tar_of_rows(*rows))


def layer_store(directory: Path, ownership: Ownership = ROOT) -> LayerStore:
    (directory / "scratch").mkdir(parents=True, exist_ok=True)
    return LayerStore(directory / "layers", ownership, "test", directory / "scratch")


class Inline(ThreadPoolExecutor):
    """An executor that is one thread, so that errors come in order."""

    def __init__(self) -> None:
        super().__init__(max_workers=1)


def image_files(directory: Path, *layers: Blob, ownership: Ownership = ROOT) -> ImageFiles:
    return ImageFiles(layer_store(directory, ownership), layers, Inline())


class Unclear(Exception):
    """A layer whose meaning nobody has laid down: a path through a file."""


def extract(root: Path, tars: list[bytes]) -> None:
    """Unpack layers upon one another in a plain directory, by the words of layer.md alone."""
    for tar in tars:
        with tarfile.open(fileobj=io.BytesIO(tar)) as archive:
            members = archive.getmembers()
            own = {member.name: member.isdir() for member in members}
            names = [os.path.split(member.name) for member in members]
            markers = {
                parent if base == ".wh..wh..opq" else f"{parent}/{base[4:]}".lstrip("/")
                for parent, base in names
                if base.startswith(".wh.")
            }
            for member in members:
                _remove(root, member.name, own, markers)
            for member in members:
                if not os.path.basename(member.name).startswith(".wh."):
                    _extract(root, archive, member)


def _above(path: str) -> list[str]:
    parts = path.split("/") if path else []
    return ["/".join(parts[:count]) for count in range(len(parts))]


def _remove(root: Path, name: str, own: dict[str, bool], markers: set[str]) -> None:
    parent, base = os.path.split(name)
    if not base.startswith(".wh."):
        return
    marked = parent if base == ".wh..wh..opq" else f"{parent}/{base[4:]}".lstrip("/")
    if any(above in markers for above in _above(marked)):
        return  # nothing is seen there any more
    parts = parent.split("/") if parent else []
    for count in range(1, len(parts) + 1):
        above = "/".join(parts[:count])
        place = _place(root, above)
        if above in own and (not own[above] or place.is_symlink() or not place.is_dir()):
            return  # something of the layer's own comes here, and what a link shows through it is not meant
    directory = _resolve(root, parent)
    if base == ".wh..wh..opq":
        for each in directory.iterdir() if directory.is_dir() else ():
            _delete(each)
    else:
        _delete(directory / base[4:])


def _extract(root: Path, archive: tarfile.TarFile, member: tarfile.TarInfo) -> None:
    parent, base = os.path.split(member.name)
    directory = _resolve(root, parent)
    _make(root, directory)
    place = directory / base
    if member.islnk():
        target = _place(root, member.linkname)
        if target.is_dir() and not target.is_symlink():
            raise Unclear("a hardlink to a directory")
        if os.path.lexists(place) and os.path.samestat(target.lstat(), place.lstat()):
            return
        _delete(place)
        os.link(target, place, follow_symlinks=False)
        return
    if not (member.isdir() and place.is_dir() and not place.is_symlink()):
        _delete(place)
    if member.isdir():
        place.mkdir(exist_ok=True)
        place.chmod(member.mode)
    elif member.issym():
        place.symlink_to(member.linkname)
    elif member.isfifo():
        os.mkfifo(place, member.mode)
    else:
        source = archive.extractfile(member)
        assert source is not None
        place.write_bytes(source.read())
        place.chmod(member.mode)
    if not member.isdir():
        os.utime(place, (member.mtime, member.mtime), follow_symlinks=False)


def _place(root: Path, name: str) -> Path:
    parent, base = os.path.split(name)
    return _resolve(root, parent) / base


def _resolve(root: Path, name: str, links: int = 0) -> Path:
    place = root
    if links > 40:
        raise Unclear("links in a circle")
    for part in name.split("/"):
        if part == "..":
            place = place if place == root else place.parent
        elif part not in ("", "."):
            place = place / part
        if place.is_symlink():
            target = os.readlink(place)
            where = "" if target.startswith("/") else str(place.parent.relative_to(root))
            place = _resolve(root, f"{where}/{target}", links + 1)
    return place


def _make(root: Path, directory: Path) -> None:
    for each in (*reversed(directory.relative_to(root).parents), directory.relative_to(root)):
        place = root / each
        if not os.path.lexists(place):
            place.mkdir()
            place.chmod(0o755)
        elif not stat.S_ISDIR(place.lstat().st_mode):
            raise Unclear("a path through a file")


def _delete(place: Path) -> None:
    if place.is_dir() and not place.is_symlink():
        shutil.rmtree(place)
    elif os.path.lexists(place):
        place.unlink()
