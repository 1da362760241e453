"""Where the image goes: registries, a docker archive, an OCI layout, and files that tell of it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from builder.digest import Digest
from builder.engine.metadata import metadata
from builder.engine.request import Outputs
from builder.errors import UsageError
from builder.image.reference import Reference
from builder.registry.index_push import IndexPush, push_index
from builder.registry.push import Pusher
from builder.storage.atomic import replacing
from builder.storage.failure import explained
from builder.storage.image import Image, ImageIndex


def export(result: Image | ImageIndex, outputs: Outputs, pusher: Pusher | None) -> None:
    """Write every output: files first, since they can fail for reasons that no retry mends, then the push.

    Raises StorageError, RegistryError; UsageError for an index in a docker archive. What says the digest is written
    last, when all of it is true.
    """
    if outputs.tar_path is not None:
        from builder.storage.docker_archive import write_docker_archive

        write_docker_archive(outputs.tar_path, _single(result), outputs.destinations)
    if outputs.oci_layout_path is not None:
        from builder.storage.oci_layout import write_oci_layout

        write_oci_layout(outputs.oci_layout_path, result, outputs.destinations)
    if pusher is not None:
        if isinstance(result, ImageIndex):
            push_index(pusher, pusher.registries, IndexPush.of(result), outputs.destinations)
        else:
            pusher.finish(result, outputs.destinations)
    write_digests(outputs, result.digest, pusher.registries.kept if pusher is not None else {})
    if outputs.metadata_file is not None:
        _write(outputs.metadata_file, metadata(result, outputs.destinations))


def _single(result: Image | ImageIndex) -> Image:
    """The one image: attestations are not for archives. Raises UsageError if there are several."""
    images = result.images if isinstance(result, ImageIndex) else (result,)
    if len(images) > 1:
        raise UsageError("a docker archive cannot hold images of several platforms", hint="use --oci-layout-path")
    return images[0]


def write_digests(outputs: Outputs, digest: Digest, kept: Mapping[Reference, Digest | None]) -> None:
    """Write the files that tell the digest: what each destination is now. Raises StorageError.

    Args:
        kept: destinations that are something else than what was pushed, as `Registries.kept` has them.
    """
    found = {each: kept.get(each) or digest for each in outputs.destinations}
    if outputs.digest_file is not None:
        (own,) = set(found.values()) if len(set(found.values())) == 1 else {digest}
        _write(outputs.digest_file, str(own).encode())
    if outputs.image_name_with_digest_file is not None:
        _write(outputs.image_name_with_digest_file, _lines(found, with_tag=False))
    if outputs.image_name_tag_with_digest_file is not None:
        _write(outputs.image_name_tag_with_digest_file, _lines(found, with_tag=True))


def _lines(found: Mapping[Reference, Digest], *, with_tag: bool) -> bytes:
    lines = [f"{each.name}{f':{each.tag}' if with_tag and each.tag else ''}@{found[each]}\n" for each in found]
    return "".join(lines).encode()


def _write(path: Path, data: bytes) -> None:
    with explained("write", path):
        path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as stream:
        stream.write(data)
