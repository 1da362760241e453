"""Reading ``docker save`` archives: Docker's old and new forms, podman's, skopeo's, kaniko's and our own."""

from __future__ import annotations

import hashlib
import json
import posixpath
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from builder.digest import Digest
from builder.errors import BuilderError, InvalidReference, StorageError
from builder.image.config import ImageConfig
from builder.image.descriptor import Descriptor
from builder.image.manifest import MAX_MANIFEST_BYTES, Manifest
from builder.image.media_types import Family
from builder.image.reference import Reference
from builder.storage.blob import CHUNK, Blob, FileBlob
from builder.storage.failure import explained
from builder.storage.image import Image

_MAGIC = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd"}
_MAX_LINKS = 8


def read_docker_archive(path: Path, name: str | None = None) -> tuple[Image, list[Reference]]:
    """The image of the docker archive at `path`, and its tags; of several the one with the tag `name`.

    The layers stay in the archive and are read from there when asked for; their digests are computed here, so the
    whole file is read once. Layers without compression are verified against the config's diff_ids.

    Raises:
        StorageError: it cannot be read, is no docker archive, is compressed as a whole, or has not that one image.
        ManifestError: its config is not valid.
    """
    members = _members(path)
    entry = _manifest_entry(path, members, name)
    config = _read(path, members, str(entry.get("Config")))
    layers = [_layer(path, members, str(name)) for name in entry.get("Layers") or ()]
    _verify(path, ImageConfig.from_bytes(config, str(path)), layers)
    family = Family.OCI if any(layer.compression == "zstd" for layer in layers) else Family.DOCKER
    blobs = tuple(layer.blob(path, family) for layer in layers)
    manifest = Manifest(
        family=family,
        config=Descriptor.of(family.config, config),
        layers=tuple(blob.descriptor for blob in blobs),
    )
    return Image(manifest=manifest, config=config, layers=blobs), _names(path, entry.get("RepoTags") or ())


@dataclass(frozen=True, slots=True)
class _Member:
    """A file of the archive, or (with `link`) a link to one, as old archives have them for repeated layers."""

    offset: int
    size: int
    link: str = ""


@dataclass(frozen=True, slots=True)
class _Layer:
    member: _Member
    digest: Digest
    compression: str

    def blob(self, path: Path, family: Family) -> Blob:
        media_type = family.layer(self.compression)
        descriptor = Descriptor(media_type=media_type, digest=self.digest, size=self.member.size)
        return Blob(descriptor=descriptor, source=FileBlob(path, descriptor, self.member.offset))


def _members(path: Path) -> dict[str, _Member]:
    try:
        with explained("read", path), tarfile.open(path, "r:") as tar:
            return {posixpath.normpath(info.name): _member(info) for info in tar if info.isfile() or info.issym()}
    except tarfile.TarError as error:
        raise StorageError(f"{path} is not a docker archive: {error}", hint=_hint(path)) from None


def _member(info: tarfile.TarInfo) -> _Member:
    link = posixpath.join(posixpath.dirname(info.name), info.linkname) if info.issym() else ""
    return _Member(info.offset_data, info.size, posixpath.normpath(link) if link else "")


def _hint(path: Path) -> str | None:
    with explained("read", path), open(path, "rb") as stream:
        kind = _compression(stream.read(4))
    return None if kind == "none" else f"it is compressed as a whole; decompress it first ({kind} -d)"


def _compression(head: bytes) -> str:
    return next((name for magic, name in _MAGIC.items() if head.startswith(magic)), "none")


def _manifest_entry(path: Path, members: Mapping[str, _Member], name: str | None) -> dict[str, Any]:
    if "manifest.json" not in members:
        raise StorageError(
            f"{path} is not a docker archive: it has no manifest.json",
            hint="give an archive made by `docker save` or --tar-path, or the directory of an OCI layout",
        )
    try:
        entries = json.loads(_read(path, members, "manifest.json"))
    except (ValueError, RecursionError) as error:
        raise StorageError(f"the manifest.json of {path} is not valid: {error}") from None
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries) or not entries:
        raise StorageError(f"the manifest.json of {path} is not a list of images")
    found = [entry for entry in entries if name is None or _has_name(entry, name)]
    if len(found) == 1:
        return dict(found[0])
    titles = ", ".join(_title(entry) for entry in entries)
    if name is not None:
        raise StorageError(f"{path} has no image {name}; it has {titles}")
    hint = f"say which one is meant: {path}:{_title(entries[-1])}"
    raise StorageError(f"{path} holds {len(entries)} images: {titles}", hint=hint)


def _has_name(entry: Mapping[str, Any], name: str) -> bool:
    """Whether `name` is one of the tags, however long each of the two is written."""
    tags = [str(tag) for tag in entry.get("RepoTags") or ()]
    try:
        return name in tags or Reference.parse(name) in map(Reference.parse, tags)
    except InvalidReference:
        return False


def _title(entry: Mapping[str, Any]) -> str:
    tags = entry.get("RepoTags") or [str(entry.get("Config"))[:12]]
    return str(tags[0])


def _find(path: Path, members: Mapping[str, _Member], name: str) -> _Member:
    wanted = posixpath.normpath(name)
    for _ in range(_MAX_LINKS):
        member = members.get(wanted)
        if member is None:
            break
        if not member.link:
            return member
        wanted = member.link
    raise StorageError(f"{path} is incomplete: {name} is not in it")


def _read(path: Path, members: Mapping[str, _Member], name: str) -> bytes:
    member = _find(path, members, name)
    if member.size > MAX_MANIFEST_BYTES:
        raise StorageError(f"{name} in {path} is larger than {MAX_MANIFEST_BYTES} bytes")
    with explained("read", path), open(path, "rb") as stream:
        stream.seek(member.offset)
        return stream.read(member.size)


def _layer(path: Path, members: Mapping[str, _Member], name: str) -> _Layer:
    member, head = _find(path, members, name), b""
    digest, left = hashlib.sha256(), member.size
    with explained("read", path), open(path, "rb", buffering=0) as stream:
        stream.seek(member.offset)
        while left and (chunk := stream.read(min(CHUNK, left))):
            head = head or chunk[:4]
            digest.update(chunk)
            left -= len(chunk)
    if left:
        raise StorageError(f"{path} is cut off: {name} is incomplete")
    return _Layer(member, Digest("sha256", digest.hexdigest()), _compression(head))


def _verify(path: Path, config: ImageConfig, layers: list[_Layer]) -> None:
    if len(config.diff_ids) != len(layers):
        raise StorageError(f"{path} has {len(layers)} layers where its config has {len(config.diff_ids)}")
    for layer, diff_id in zip(layers, config.diff_ids, strict=True):
        if layer.compression == "none" and layer.digest != diff_id:
            raise StorageError(f"{path} is damaged: the layer {diff_id} has the digest {layer.digest}")


def _names(path: Path, tags: Any) -> list[Reference]:
    try:
        return [Reference.parse(str(tag)) for tag in tags]
    except InvalidReference as error:
        raise BuilderError(f"{path} has a tag that is not valid: {error.message}") from None
