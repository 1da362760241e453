"""What is in an image: its layers as they are, and the filesystem they add up to.

A reader written straight from the OCI image-spec (layer.md) on tarfile, on purpose apart from the builder's own: it
is what the builder's images are checked with. Everything is held in memory, so it is not for huge images.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import platform
import tarfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from support.registry import LoopbackRegistry

_TYPES = {
    tarfile.REGTYPE: "file",
    tarfile.AREGTYPE: "file",
    tarfile.LNKTYPE: "hardlink",
    tarfile.SYMTYPE: "symlink",
    tarfile.DIRTYPE: "directory",
    tarfile.CHRTYPE: "char",
    tarfile.BLKTYPE: "block",
    tarfile.FIFOTYPE: "fifo",
}
_XATTR = "SCHILY.xattr."
_OPAQUE = ".wh..wh..opq"
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


@dataclass(frozen=True, slots=True, kw_only=True)
class FileListing:
    """One path of the merged filesystem, or one member of a layer.

    Attributes:
        type: file, hardlink (in layers only), symlink, directory, char, block or fifo.
        mode: permission bits with setuid, setgid and sticky.
        sha256: of a file's bytes, in hexadecimal; "" for all else.
        link: the target of a symlink, or of a hardlink member.
        device: major and minor number.
        xattrs: name to value in hexadecimal.
        mtime: whole seconds; None for a directory that no layer lists.
        hardlinks: every path of the same file, sorted, if there is more than one.
    """

    type: str
    mode: int
    uid: int = 0
    gid: int = 0
    size: int = 0
    sha256: str = ""
    link: str = ""
    device: tuple[int, int] | None = None
    xattrs: Mapping[str, str] = field(default_factory=dict)
    mtime: int | None = None
    hardlinks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """An image as read.

    Attributes:
        manifest: the image's manifest; for a docker archive, its entry of ``manifest.json``.
        config: the image config, whole (``config["config"]`` is what a container gets).
        layers: the members of each layer in the order of the tar: path as written, listing.
        files: path (no leading slash, the root itself left out) to listing.
        contents: sha256 in hexadecimal to the bytes, of every file up to 64 KiB.
    """

    manifest: Mapping[str, Any]
    config: Mapping[str, Any]
    layers: Sequence[Sequence[tuple[str, FileListing]]]
    files: Mapping[str, FileListing]
    contents: Mapping[str, bytes]

    def text(self, path: str) -> str:
        """The text of the (small) file at `path`."""
        return self.contents[self.files[path].sha256].decode()

    def whiteouts(self, layer: int) -> list[str]:
        """The whiteout and opaque markers of a layer, as paths."""
        return [path for path, _ in self.layers[layer] if path.rpartition("/")[2].startswith(".wh.")]


def list_image(registry: LoopbackRegistry, name: str, reference: str, architecture: str | None = None) -> Image:
    """The image `reference` (tag or digest) of repository `name`; of an index, the one of this architecture."""
    manifest = registry.manifest(name, reference)
    if "manifests" in manifest:
        wanted = architecture or host_architecture()
        digests = [m["digest"] for m in manifest["manifests"] if m["platform"]["architecture"] == wanted]
        manifest = registry.manifest(name, digests[0])
    return _read(manifest, lambda descriptor: registry.blob(name, descriptor["digest"]))


def list_layout(path: Path, name: str | None = None) -> Image:
    """The image of an OCI layout: the only one, or the one whose ``ref.name`` annotation is `name`."""
    listed = json.loads((path / "index.json").read_text())["manifests"]
    if name is not None:
        listed = [m for m in listed if m.get("annotations", {}).get("org.opencontainers.image.ref.name") == name]
    assert len(listed) == 1, f"{len(listed)} manifests in {path}, one expected"

    def blob(descriptor: Mapping[str, Any]) -> bytes:
        algorithm, _, value = descriptor["digest"].partition(":")
        return (path / "blobs" / algorithm / value).read_bytes()

    return _read(json.loads(_verified(blob(listed[0]), listed[0])), blob)


def list_archive(path: Path) -> Image:
    """The only image of a docker archive (what ``docker load`` reads)."""
    with tarfile.open(path) as archive:

        def member(name: str) -> bytes:
            stream = archive.extractfile(name)
            assert stream is not None, f"{name} is not a file in {path}"
            return bytes(stream.read())

        entries = json.loads(member("manifest.json"))
        assert len(entries) == 1, f"{len(entries)} images in {path}, one expected"
        config = json.loads(member(entries[0]["Config"]))
        tars = [_decompress(member(name)) for name in entries[0]["Layers"]]
    return _merge(entries[0], config, tars)


def host_architecture() -> str:
    """This machine's architecture by its OCI name."""
    return _ARCHITECTURES.get(platform.machine(), platform.machine())


def _read(manifest: Mapping[str, Any], blob: Callable[[Mapping[str, Any]], bytes]) -> Image:
    config = json.loads(_verified(blob(manifest["config"]), manifest["config"]))
    tars = [_decompress(_verified(blob(layer), layer)) for layer in manifest["layers"]]
    return _merge(manifest, config, tars)


def _verified(data: bytes, descriptor: Mapping[str, Any]) -> bytes:
    found = f"sha256:{hashlib.sha256(data).hexdigest()}"
    assert (found, len(data)) == (descriptor["digest"], descriptor["size"]), f"{descriptor} is really {found}"
    return data


def _decompress(data: bytes) -> bytes:
    if data[:2] == b"\x1f\x8b":
        return gzip.decompress(data)
    if data[:4] == b"\x28\xb5\x2f\xfd":
        import zstandard

        return bytes(zstandard.ZstdDecompressor().decompressobj().decompress(data))
    return data


def _merge(manifest: Mapping[str, Any], config: Mapping[str, Any], tars: Sequence[bytes]) -> Image:
    diff_ids = [f"sha256:{hashlib.sha256(tar).hexdigest()}" for tar in tars]
    assert diff_ids == config["rootfs"]["diff_ids"], "the layers are not what the config's diff_ids say"
    merged = _Merged()
    contents: dict[str, bytes] = {}
    layers = []
    for tar in tars:
        members = list(_members(tar, contents))
        merged.apply(members)
        layers.append(members)
    return Image(manifest=manifest, config=config, layers=layers, files=merged.listing(), contents=contents)


def _members(tar: bytes, contents: dict[str, bytes]) -> Iterable[tuple[str, FileListing]]:
    with tarfile.open(fileobj=io.BytesIO(tar), errors="surrogateescape") as archive:
        for header in archive:
            data = b""
            if header.isreg() and (stream := archive.extractfile(header)):
                data = stream.read()
            listing = _listing(header, data)
            if header.isreg() and len(data) <= 65536:
                contents[listing.sha256] = data
            yield header.name, listing


def _listing(header: tarfile.TarInfo, data: bytes) -> FileListing:
    regular = header.isreg()
    return FileListing(
        type=_TYPES[header.type],
        mode=header.mode & 0o7777,
        uid=header.uid,
        gid=header.gid,
        size=len(data),
        sha256=hashlib.sha256(data).hexdigest() if regular else "",
        link=header.linkname if header.islnk() or header.issym() else "",
        device=(header.devmajor, header.devminor) if header.ischr() or header.isblk() else None,
        xattrs={
            name.removeprefix(_XATTR): value.encode("utf-8", "surrogateescape").hex()
            for name, value in header.pax_headers.items()
            if name.startswith(_XATTR)
        },
        mtime=int(header.mtime // 1),
    )


class _Inode:
    """A file with its names; hardlinks share one."""

    def __init__(self, listing: FileListing) -> None:
        self.listing = listing


class _Merged:
    """The filesystem that layers add up to."""

    def __init__(self) -> None:
        self._tree: dict[str, _Inode] = {}

    def apply(self, members: Sequence[tuple[str, FileListing]]) -> None:
        """Whiteouts first: they concern the layers below, wherever in the tar they stand.

        But for directories that replace something else: what was there is no way to the names in them.
        """
        named = [(_normal(path), listing) for path, listing in members]
        for path, _ in filter(lambda each: each[1].type == "directory", named):
            place = self._resolve_parent(path)
            if place in self._tree and self._tree[place].listing.type != "directory":
                self._remove(place)
        for path, _ in named:
            parent, _, name = path.rpartition("/")
            if name == _OPAQUE:
                self._remove_below(self._resolve(parent))
            elif name.startswith(".wh."):
                self._remove(_join(self._resolve(parent), name.removeprefix(".wh.")))
        for path, listing in named:
            if path and not path.rpartition("/")[2].startswith(".wh."):
                self._add(path, listing)

    def listing(self) -> dict[str, FileListing]:
        names: dict[int, list[str]] = {}
        for path, inode in self._tree.items():
            names.setdefault(id(inode), []).append(path)
        found = {}
        for path, inode in sorted(self._tree.items()):
            group = names[id(inode)]
            found[path] = replace(inode.listing, hardlinks=tuple(sorted(group)) if len(group) > 1 else ())
        return found

    def _add(self, path: str, listing: FileListing) -> None:
        parent, _, name = path.rpartition("/")
        path = _join(self._resolve(parent), name)
        self._make_parents(path)
        there = self._tree.get(path)
        if listing.type == "hardlink":
            target = self._tree[self._resolve_parent(_normal(listing.link))]
            self._remove(path)
            self._tree[path] = target
            return
        if there and not there.listing.type == listing.type == "directory":
            self._remove(path)
        self._tree[path] = _Inode(listing)

    def _make_parents(self, path: str) -> None:
        parent = path.rpartition("/")[0]
        while parent:
            self._tree.setdefault(parent, _Inode(FileListing(type="directory", mode=0o755)))
            parent = parent.rpartition("/")[0]

    def _remove(self, path: str) -> None:
        inode = self._tree.pop(path, None)
        if inode and inode.listing.type == "directory":
            self._remove_below(path)

    def _remove_below(self, path: str) -> None:
        for below in [other for other in self._tree if not path or other.startswith(f"{path}/")]:
            del self._tree[below]

    def _resolve_parent(self, path: str) -> str:
        parent, _, name = path.rpartition("/")
        return _join(self._resolve(parent), name)

    def _resolve(self, path: str) -> str:
        """`path` with every symlink on its way followed inside the root."""
        done, parts, followed = "", path.split("/") if path else [], 0
        while parts:
            part = parts.pop(0)
            if part == "..":
                done = done.rpartition("/")[0]
                continue
            step = _join(done, part)
            inode = self._tree.get(step)
            if inode and inode.listing.type == "symlink":
                followed += 1
                assert followed < 40, f"too many links in {path}"
                target = inode.listing.link
                done = "" if target.startswith("/") else done
                parts = [p for p in target.split("/") if p not in ("", ".")] + parts
            else:
                done = step
        return done


def _join(parent: str, name: str) -> str:
    return f"{parent}/{name}" if parent else name


def _normal(path: str) -> str:
    return os.path.normpath(f"/{path}").lstrip("/")


def diff_listings(
    expected: Mapping[str, FileListing], found: Mapping[str, FileListing], *, ignore: Iterable[str] = ("mtime",)
) -> str:
    """What differs, a line for each path and attribute, for people; "" if nothing does.

    Args:
        ignore: attributes of FileListing that are not compared.
    """
    compared = [f.name for f in fields(FileListing) if f.name not in set(ignore)]
    lines = []
    for path in sorted(expected.keys() | found.keys()):
        if path not in found:
            lines.append(f"- {path}: missing ({expected[path].type})")
        elif path not in expected:
            lines.append(f"+ {path}: not expected ({found[path].type}, mode {found[path].mode:04o})")
        else:
            lines += _diff_one(path, expected[path], found[path], compared)
    return "\n".join(lines)


def _diff_one(path: str, expected: FileListing, found: FileListing, compared: Iterable[str]) -> list[str]:
    lines = []
    for name in compared:
        want, have = getattr(expected, name), getattr(found, name)
        if want != have:
            show = oct if name == "mode" else repr
            lines.append(f"~ {path}: {name} is {show(have)}, {show(want)} expected")
    return lines
