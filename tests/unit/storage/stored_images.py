"""Small images with real layers."""

from __future__ import annotations

import gzip
import io
import tarfile

from builder.digest import Digest
from builder.image.config import ImageConfig
from builder.image.descriptor import Descriptor
from builder.image.manifest import Manifest
from builder.image.media_types import Family
from builder.image.platform import Platform
from builder.storage.blob import Blob, MemoryBlob
from builder.storage.image import Image


def tar_of(**files: bytes) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def compressed(data: bytes, compression: str) -> bytes:
    if compression == "zstd":
        import zstandard

        return zstandard.ZstdCompressor().compress(data)
    return gzip.compress(data, mtime=0) if compression == "gzip" else data


def make_image(*tars: bytes, family: Family = Family.OCI, compression: str = "gzip") -> Image:
    config = ImageConfig(platform=Platform("linux", "amd64"), diff_ids=tuple(map(Digest.of, tars))).to_bytes()
    layers = [compressed(tar, compression) for tar in tars]
    blobs = tuple(
        Blob(descriptor=Descriptor.of(family.layer(compression), data), source=MemoryBlob(data)) for data in layers
    )
    manifest = Manifest(
        family=family,
        config=Descriptor.of(family.config, config),
        layers=tuple(blob.descriptor for blob in blobs),
    )
    return Image(manifest=manifest, config=config, layers=blobs)


def contents(image: Image) -> list[bytes]:
    """The bytes of the layers, as stored."""
    found = []
    for layer in image.layers:
        with layer.source.open() as stream:
            found.append(b"".join(iter(lambda stream=stream: stream.read(1 << 16), b"")))
    return found
