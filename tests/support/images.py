"""Writes images with tarfile and json alone: layers, OCI layouts, docker archives, indexes."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import struct
import tarfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

Compression = Literal["gzip", "zstd", "none"]
_OCI = "application/vnd.oci.image"
_SUFFIX = {"gzip": "+gzip", "zstd": "+zstd", "none": ""}


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One tar member of a layer. `type` is tarfile's (REGTYPE ...); `pax` takes ``SCHILY.xattr.<name>``."""

    path: str
    type: bytes = tarfile.REGTYPE
    mode: int = 0o644
    uid: int = 0
    gid: int = 0
    data: bytes = b""
    link: str = ""
    mtime: int = 1_600_000_000
    device: tuple[int, int] = (0, 0)
    pax: Mapping[str, str] = field(default_factory=dict)


def directory(path: str, mode: int = 0o755, **rest: Any) -> Item:
    return Item(path=path, type=tarfile.DIRTYPE, mode=mode, **rest)


def symlink(path: str, target: str) -> Item:
    return Item(path=path, type=tarfile.SYMTYPE, mode=0o777, link=target)


def hardlink(path: str, target: str, mode: int = 0o644) -> Item:
    """A further name of `target`; `mode` must be the target's (podman applies it)."""
    return Item(path=path, type=tarfile.LNKTYPE, mode=mode, link=target)


def whiteout(path: str) -> Item:
    """The marker that removes `path` of the layers below."""
    parent, _, name = path.rpartition("/")
    return Item(path=f"{parent}/.wh.{name}" if parent else f".wh.{name}")


def capability(permitted: int) -> Mapping[str, str]:
    """``security.capability`` of revision 2 with `permitted` and the effective bit (linux/capability.h)."""
    value = struct.pack("<IIIII", 0x02000001, permitted, 0, 0, 0)
    return {"SCHILY.xattr.security.capability": value.decode("utf-8", "surrogateescape")}


def layer(items: Iterable[Item]) -> bytes:
    """An uncompressed pax tar of `items`, in their order."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT, errors="surrogateescape") as archive:
        for item in items:
            archive.addfile(_header(item), io.BytesIO(item.data))
    return buffer.getvalue()


def _header(item: Item) -> tarfile.TarInfo:
    header = tarfile.TarInfo(item.path)
    header.type, header.mode, header.uid, header.gid = item.type, item.mode, item.uid, item.gid
    header.size, header.mtime, header.linkname = len(item.data), item.mtime, item.link
    header.devmajor, header.devminor = item.device
    header.pax_headers = dict(item.pax)
    return header


def digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def compress(data: bytes, compression: Compression) -> bytes:
    if compression == "gzip":
        return gzip.compress(data, 6, mtime=0)
    if compression == "zstd":
        import zstandard

        return zstandard.ZstdCompressor(level=3).compress(data)
    return data


@dataclass(frozen=True, slots=True, kw_only=True)
class Blob:
    """A compressed layer and the digest of what it is uncompressed."""

    data: bytes
    diff_id: str
    compression: Compression

    @classmethod
    def of(cls, tar: bytes, compression: Compression = "gzip") -> Blob:
        return cls(data=compress(tar, compression), diff_id=digest(tar), compression=compression)

    @property
    def descriptor(self) -> dict[str, Any]:
        media_type = f"{_OCI}.layer.v1.tar{_SUFFIX[self.compression]}"
        return {"mediaType": media_type, "digest": digest(self.data), "size": len(self.data)}


class OciLayout:
    """An OCI image layout being written (image-spec, image-layout.md); `tag` names what `index.json` lists."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._manifests: list[dict[str, Any]] = []
        (path / "blobs/sha256").mkdir(parents=True, exist_ok=True)
        (path / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')

    def add(self, data: bytes) -> str:
        """Store a blob; returns its digest."""
        value = digest(data)
        (self.path / "blobs/sha256" / value.removeprefix("sha256:")).write_bytes(data)
        return value

    def image(self, layers: Sequence[Blob], config: Mapping[str, Any], architecture: str) -> dict[str, Any]:
        """Store an image of `layers`; `config` is the ``config`` member. Returns its descriptor, with the platform."""
        full = {
            "created": "2020-09-13T12:26:40Z",
            "architecture": architecture,
            "os": "linux",
            "config": dict(config),
            "rootfs": {"type": "layers", "diff_ids": [blob.diff_id for blob in layers]},
            "history": [{"created": "2020-09-13T12:26:40Z", "created_by": f"layer {n}"} for n in range(len(layers))],
        }
        for blob in layers:
            self.add(blob.data)
        manifest = {
            "schemaVersion": 2,
            "mediaType": f"{_OCI}.manifest.v1+json",
            "config": self._descriptor(f"{_OCI}.config.v1+json", full),
            "layers": [blob.descriptor for blob in layers],
        }
        return self._descriptor(f"{_OCI}.manifest.v1+json", manifest) | {
            "platform": {"os": "linux", "architecture": architecture}
        }

    def index(self, descriptors: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """Store an image index of `descriptors`; returns its descriptor."""
        media_type = f"{_OCI}.index.v1+json"
        return self._descriptor(
            media_type, {"schemaVersion": 2, "mediaType": media_type, "manifests": list(descriptors)}
        )

    def tag(self, descriptor: Mapping[str, Any], name: str) -> None:
        """List `descriptor` in ``index.json`` under `name`."""
        self._manifests.append(dict(descriptor) | {"annotations": {"org.opencontainers.image.ref.name": name}})
        index = {"schemaVersion": 2, "manifests": self._manifests}
        (self.path / "index.json").write_text(json.dumps(index))

    def _descriptor(self, media_type: str, content: Mapping[str, Any]) -> dict[str, Any]:
        data = json.dumps(content).encode()
        return {"mediaType": media_type, "digest": self.add(data), "size": len(data)}
