"""``docker save`` archives: what `docker load`, `podman load` and ``skopeo copy docker-archive:`` read.

The form is Docker's image specification v1.2, "Combined Image JSON + Filesystem Changeset Format": a tar with a
``manifest.json`` that names the config, the layers and the tags. Layers are stored as they are, compressed or not.
"""

from __future__ import annotations

import json
import tarfile
from collections.abc import Sequence
from pathlib import Path

from builder.errors import DigestMismatch
from builder.image.descriptor import Descriptor
from builder.image.reference import DEFAULT_REGISTRY, Reference
from builder.storage.atomic import replacing
from builder.storage.blob import Blob, Writable, copy
from builder.storage.docker_archive_reader import read_docker_archive
from builder.storage.image import Image

__all__ = ["read_docker_archive", "write_docker_archive"]

_BLOCK, _RECORD = 512, 10240


def write_docker_archive(path: Path, image: Image, names: Sequence[Reference]) -> None:
    """Write `image` to a docker archive at `path`, streaming; the file appears complete or not at all.

    The same image and names give the same bytes. Without names the image is loaded without a tag.

    Raises StorageError, DigestMismatch, and what the layers' sources raise.
    """
    config_name = f"{image.manifest.config.digest.hex}.json"
    layer_names = [_layer_name(layer.descriptor) for layer in image.layers]
    entry = {"Config": config_name, "RepoTags": [_tag(name) for name in names] or None, "Layers": layer_names}
    with replacing(path) as stream:
        tar = _Tar(stream)
        tar.add(config_name, image.config_blob)
        for name, layer in dict(zip(layer_names, image.layers, strict=True)).items():
            tar.add(name, layer)
        tar.add_bytes("manifest.json", json.dumps([entry], separators=(",", ":")).encode())
        tar.finish()


class _Tar:
    """The few headers that the archive needs, without tarfile's copying in small pieces."""

    def __init__(self, stream: Writable) -> None:
        self._stream, self._written = stream, 0

    def add(self, name: str, blob: Blob) -> None:
        self._header(name, blob.descriptor.size)
        with blob.source.open() as source:
            size = copy(source, self._stream)
        if size != blob.descriptor.size:
            raise DigestMismatch(f"blob {blob.descriptor.digest} has {size} bytes instead of {blob.descriptor.size}")
        self._pad(size)

    def add_bytes(self, name: str, data: bytes) -> None:
        self._header(name, len(data))
        self._stream.write(data)
        self._pad(len(data))

    def finish(self) -> None:
        """Two empty blocks, and zeros up to a whole record (POSIX pax, "ustar Interchange Format")."""
        self._written += 2 * _BLOCK
        self._stream.write(bytes(2 * _BLOCK + -self._written % _RECORD))

    def _header(self, name: str, size: int) -> None:
        info = tarfile.TarInfo(name)
        info.size, info.mode = size, 0o644
        header = info.tobuf(tarfile.PAX_FORMAT)
        self._stream.write(header)
        self._written += len(header)

    def _pad(self, size: int) -> None:
        self._stream.write(bytes(-size % _BLOCK))
        self._written += size + -size % _BLOCK


def _layer_name(descriptor: Descriptor) -> str:
    return f"{descriptor.digest.hex}.tar{_suffix(descriptor.media_type)}"


def _suffix(media_type: str) -> str:
    if media_type.endswith("gzip"):
        return ".gz"
    return ".zst" if media_type.endswith("zstd") else ""


def _tag(reference: Reference) -> str:
    """The tag as Docker lists it: without a digest, and without the host where that is Docker Hub."""
    name = reference.name
    if reference.registry == DEFAULT_REGISTRY:
        name = reference.repository.removeprefix("library/")
    return f"{name}:{reference.tag or 'latest'}"
