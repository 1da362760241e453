"""Pushing an index: all blobs, then its children by digest, then the index under each tag (OCI distribution-spec,
"Pushing Manifests").
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from builder.digest import Digest
from builder.image.reference import Reference
from builder.progress import Transfer
from builder.registry.client import Registries
from builder.registry.errors import RegistryError
from builder.registry.push import Pusher, first_repositories
from builder.storage.image import ImageIndex, Pushable

_REFUSALS = (400, 404, 405, 415, 422)
_CODES = ("MANIFEST_INVALID", "UNSUPPORTED", "MANIFEST_UNVERIFIED")


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexPush:
    """An index that is to be pushed, and what it leads to.

    Attributes:
        children: those that a destination may not have yet, each in the repository of every destination.
        media_type, data: of the index itself.
    """

    children: Sequence[Pushable]
    media_type: str
    data: bytes = field(repr=False)

    @classmethod
    def of(cls, index: ImageIndex) -> IndexPush:
        return cls(children=index.children, media_type=index.descriptor.media_type, data=index.manifest_bytes)

    @property
    def digest(self) -> Digest:
        return Digest.of(self.data)


def push_index(pusher: Pusher, registries: Registries, index: IndexPush, destinations: Sequence[Reference]) -> None:
    """Push the index to each destination's tag, and before that everything that it leads to.

    Nothing is tagged unless all of it is in every repository. Raises RegistryError, and what the blobs' sources raise.
    """
    for repository in first_repositories(destinations):
        for child in index.children:
            for blob in (*child.layers, child.config_blob):
                pusher.start(blob, repository)
    repositories = {(each.registry, each.repository): each for each in destinations}.values()
    for child in index.children:
        digest = child.descriptor.digest
        pusher.finish(child, [replace(each, tag=None, digest=digest) for each in repositories])
    for destination in dict.fromkeys(destinations):
        _tag(registries, index, destination)


def _tag(registries: Registries, index: IndexPush, destination: Reference) -> None:
    size = len(index.data)
    registries.progress.emit(Transfer("push", str(destination), 0, size))
    try:
        registries.push_manifest(destination, index.media_type, index.data)
    except RegistryError as error:
        raise _explained(error, index.media_type, destination) from error
    registries.progress.emit(Transfer("push", str(destination), size, size))


def _explained(error: RegistryError, media_type: str, destination: Reference) -> RegistryError:
    """A registry that takes images and not their index does not know indexes, or not those of this media type."""
    if error.status not in _REFUSALS or (error.status == 404 and "MANIFEST_UNKNOWN" not in error.codes):
        return error
    if error.status == 400 and not set(error.codes) & set(_CODES):
        return error
    other = "docker" if "oci" in media_type else "oci"
    return RegistryError(
        f"{error.message}; it has taken the images, but not the index that joins them ({media_type})",
        hint=f"the registry may not know indexes of this kind: try the other one ({other}), or push the platforms to a "
        f"tag of {destination.name} each",
        host=error.host,
        request=error.request,
        status=error.status,
        codes=error.codes,
    )
