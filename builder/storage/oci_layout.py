"""Images in an OCI image layout (OCI image-spec, image-layout.md): a directory of blobs and an ``index.json``."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from builder.digest import Readable
from builder.errors import BuilderError, DigestMismatch, ManifestError, StorageError
from builder.image import media_types
from builder.image.config import ImageConfig
from builder.image.descriptor import Descriptor
from builder.image.manifest import MAX_MANIFEST_BYTES, Manifest, encode, parse_manifest
from builder.image.platform import Platform
from builder.image.reference import Reference
from builder.storage import locks
from builder.storage.atomic import write_atomically
from builder.storage.blob import CHUNK, Blob, BlobSource, copy
from builder.storage.blobs import BlobStore
from builder.storage.failure import explained
from builder.storage.garbage import collect
from builder.storage.image import Image, ImageIndex

REF_NAME = "org.opencontainers.image.ref.name"
CONTAINERD_NAME = "io.containerd.image.name"
_VERSION = b'{"imageLayoutVersion":"1.0.0"}'
_MAX_NESTING = 4


def write_oci_layout(
    path: Path,
    image: Image | ImageIndex,
    names: Sequence[Reference | str],
    *,
    most: int | None = None,
    forget: float | None = None,
) -> bool:
    """Add `image`, or an index with all its children, to the layout at `path`, which is made if it is not there.

    The image is entered once for each name (``org.opencontainers.image.ref.name`` holds the whole reference), or once
    without a name; what had that name before, or none, is replaced. Blobs are verified and written first,
    ``index.json`` last and at once, so an interrupted write leaves the layout as it was. Writers exclude one another.

    Args:
        names: references, or names that are none (cache keys), which are for this layout alone.
        most: how many entries the index keeps, the oldest going first; None for all.
        forget: remove blobs that nothing leads to any more and that were not used for so many seconds, if that may have
            become true of any; None for never.

    Returns whether entries were replaced or dropped.

    Raises StorageError, DigestMismatch, ManifestError (what is there is no layout), and what the layers' sources raise.
    """
    with explained("create", path):
        path.mkdir(parents=True, exist_ok=True)
    store = BlobStore(path)
    with locks.exclusive(path):
        index = _load_index(path) if (path / "index.json").exists() else _empty_index()
        for child in image.children if isinstance(image, ImageIndex) else (image,):
            for blob in (*child.layers, child.config_blob):
                write_blob(store, blob)
            store.put(child.manifest_bytes)
        store.put(image.manifest_bytes)
        before = {_digest(entry) for entry in index["manifests"]}
        _enter(index, image, names)
        index["manifests"] = index["manifests"][-most:] if most else index["manifests"]
        _write_index(path, index)
        dropped = not before <= {_digest(entry) for entry in index["manifests"]}
        if dropped and forget is not None:
            collect(path, index["manifests"], unused_for=forget)
        # while nobody else may be about to write into it
        with contextlib.suppress(OSError):
            (path / "ingest").rmdir()
    return dropped


@contextlib.contextmanager
def changed_entries(path: Path) -> Iterator[list[dict[str, Any]]]:
    """The entries of the index of the layout at `path`, which is made if it is not there, to be changed as a list.

    What the block makes of it is written when it ends well. Writers exclude one another. Raises StorageError,
    ManifestError.
    """
    with explained("create", path):
        path.mkdir(parents=True, exist_ok=True)
    with locks.exclusive(path):
        index = _index(path)
        index["manifests"] = [entry for entry in index["manifests"] if isinstance(entry, dict)]
        yield index["manifests"]
        _write_index(path, index)
        with contextlib.suppress(OSError):
            (path / "ingest").rmdir()


def layout_entries(path: Path) -> list[dict[str, Any]]:
    """What the index of the layout at `path` says; nothing if there is none. Raises StorageError, ManifestError."""
    return [entry for entry in _index(path)["manifests"] if isinstance(entry, dict)]


def read_oci_layout(path: Path) -> list[tuple[str | None, Image]]:
    """The images of the layout at `path` with their names, in the order of its index; nested indexes are followed.

    Layers are not read until they are asked for. Raises StorageError, ManifestError, DigestMismatch.
    """
    index, store = _load_index(path), BlobStore(path)
    return [found for child in index["manifests"] for found in _images(store, child, None, _MAX_NESTING)]


def find_entry(path: Path, name: str) -> Mapping[str, Any] | None:
    """What the index of the layout at `path` says of `name`; None if it has no such entry.

    Raises StorageError, ManifestError.
    """
    return next((entry for entry in _load_index(path)["manifests"] if _name(entry) == name), None)


def image_of_entry(path: Path, entry: Mapping[str, Any]) -> Image:
    """The image of an entry of the layout at `path`. Its layers are there in their sizes, and verified when read.

    Raises StorageError, ManifestError, DigestMismatch.
    """
    image = next(image for _, image in _images(BlobStore(path), entry, None, _MAX_NESTING))
    for layer in image.layers:
        if not BlobStore(path).has(layer.descriptor.digest, layer.descriptor.size):
            raise DigestMismatch(f"blob {layer.descriptor.digest} in {path} is not there in its size")
    return image


def is_oci_layout(path: Path) -> bool:
    """True if `path` is a directory that says it is a layout."""
    return (path / "oci-layout").is_file() and (path / "index.json").is_file()


def write_blob(store: BlobStore, blob: Blob, *, again: bool = False) -> bool:
    """Have `blob` in the store, intact; False if it was. With `again` it is written in any case.

    Raises StorageError, DigestMismatch, and what the blob's source raises.
    """
    descriptor = blob.descriptor
    if not again and store.has(descriptor.digest, descriptor.size) and _is_intact(store.source(descriptor)):
        return False
    # the source verifies by digest as it is read, so the writer need not hash it once more
    with blob.source.open() as stream, store.ingest() as writer:
        copy(stream, writer)
        writer.commit(descriptor.digest, descriptor.size)
    return True


def _is_intact(source: BlobSource) -> bool:
    try:
        with source.open() as stream:
            while stream.read(CHUNK):
                pass
    except BuilderError:
        return False
    return True


def _index(path: Path) -> dict[str, Any]:
    return _load_index(path) if (path / "index.json").exists() else _empty_index()


def _write_index(path: Path, index: dict[str, Any]) -> None:
    write_atomically(path / "oci-layout", _VERSION)
    write_atomically(path / "index.json", encode(index))


def _empty_index() -> dict[str, Any]:
    return {"schemaVersion": 2, "mediaType": media_types.OCI_INDEX, "manifests": []}


def _load_index(path: Path) -> dict[str, Any]:
    file = path / "index.json"
    with explained("read", file), open(file, "rb") as stream:
        data = stream.read(MAX_MANIFEST_BYTES + 1)
    try:
        index = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise ManifestError(f"{file} is not valid: {error}") from None
    if not isinstance(index, dict) or not isinstance(index.get("manifests"), list):
        raise ManifestError(f"{file} is not the index of an OCI layout: it has no list of manifests")
    return index


def _enter(index: dict[str, Any], image: Image | ImageIndex, names: Sequence[Reference | str]) -> None:
    replaced: Sequence[Reference | str | None] = names or (None,)
    entries = [each for each in index["manifests"] if _name(each) not in [name and str(name) for name in replaced]]
    for name in replaced:
        annotations = {REF_NAME: str(name)} if name else {}
        if isinstance(name, Reference):
            annotations = {CONTAINERD_NAME: str(name), **annotations}
        platform = _platform(image)
        entries.append(replace(image.descriptor, annotations=annotations, platform=platform).to_json())
    index["manifests"] = entries


def _platform(image: Image | ImageIndex) -> Platform | None:
    if isinstance(image, ImageIndex):
        return None
    return ImageConfig.from_bytes(image.config, "the image to write").platform


def _digest(entry: Any) -> object:
    return str(entry.get("digest")) if isinstance(entry, dict) else None


def _name(entry: Any) -> str | None:
    annotations = entry.get("annotations") if isinstance(entry, dict) else None
    name = annotations.get(REF_NAME) if isinstance(annotations, dict) else None
    return name if isinstance(name, str) else None


def _images(store: BlobStore, entry: Any, name: str | None, depth: int) -> Iterator[tuple[str | None, Image]]:
    descriptor, name = Descriptor.from_json(entry), _name(entry) or name
    what = f"{name or descriptor.digest} in {store.directory}"
    data = _read(store, descriptor, what)
    found = parse_manifest(data, descriptor.media_type, what)
    if isinstance(found, Manifest):
        yield name, _image(store, found, data, what)
        return
    if depth == 0:
        raise ManifestError(f"{what} is an index nested more than {_MAX_NESTING} deep")
    for child in found.manifests:
        yield from _images(store, child.to_json(), name, depth - 1)


def _image(store: BlobStore, manifest: Manifest, data: bytes, what: str) -> Image:
    config = _read(store, manifest.config, f"the config of {what}")
    layers = tuple(Blob(descriptor=layer, source=store.source(layer)) for layer in manifest.layers)
    for layer in layers:
        if not store.has(layer.descriptor.digest) and not layer.descriptor.urls:
            raise StorageError(f"{what} is incomplete: its layer {layer.descriptor.digest} is not there")
    return Image(manifest=manifest, config=config, layers=layers, manifest_bytes=data)


def _read(store: BlobStore, descriptor: Descriptor, what: str) -> bytes:
    if descriptor.size > MAX_MANIFEST_BYTES:
        raise ManifestError(f"{what} is larger than {MAX_MANIFEST_BYTES} bytes")
    with store.source(descriptor).open() as stream:
        return _all(stream)


def _all(stream: Readable) -> bytes:
    return b"".join(iter(lambda: stream.read(CHUNK), b""))
