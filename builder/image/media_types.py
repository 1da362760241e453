"""Media types of images (OCI image-spec media-types.md; Docker image manifest v2, schema 2)."""

from __future__ import annotations

from enum import Enum

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar"
OCI_LAYER_GZIP = "application/vnd.oci.image.layer.v1.tar+gzip"
OCI_LAYER_ZSTD = "application/vnd.oci.image.layer.v1.tar+zstd"
OCI_LAYER_FOREIGN = "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip"

DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_MANIFEST_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar"
DOCKER_LAYER_GZIP = "application/vnd.docker.image.rootfs.diff.tar.gzip"
DOCKER_LAYER_FOREIGN = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"
DOCKER_SCHEMA1 = (
    "application/vnd.docker.distribution.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v1+prettyjws",
)

LAYER_TYPES = (OCI_LAYER, OCI_LAYER_GZIP, OCI_LAYER_ZSTD, DOCKER_LAYER, DOCKER_LAYER_GZIP)
"""Of layers that may be distributed, in the compressions that every tool knows."""
MANIFESTS = (OCI_MANIFEST, DOCKER_MANIFEST)
INDEXES = (OCI_INDEX, DOCKER_MANIFEST_LIST)


class Family(Enum):
    """One family of media types for all of an image (design.md, invariant 1)."""

    OCI = "oci"
    DOCKER = "docker"

    @classmethod
    def of(cls, media_type: str) -> Family:
        """The family that a manifest's or layer's media type belongs to."""
        return cls.DOCKER if media_type.startswith("application/vnd.docker.") else cls.OCI

    @property
    def manifest(self) -> str:
        return OCI_MANIFEST if self is Family.OCI else DOCKER_MANIFEST

    @property
    def index(self) -> str:
        return OCI_INDEX if self is Family.OCI else DOCKER_MANIFEST_LIST

    @property
    def config(self) -> str:
        return OCI_CONFIG if self is Family.OCI else DOCKER_CONFIG

    def layer(self, compression: str) -> str:
        """The media type of a layer; `compression` is ``gzip``, ``zstd`` (OCI only) or ``none``. Raises KeyError."""
        return _LAYERS[self.value, compression]


_LAYERS = {
    ("oci", "gzip"): OCI_LAYER_GZIP,
    ("oci", "zstd"): OCI_LAYER_ZSTD,
    ("oci", "none"): OCI_LAYER,
    ("docker", "gzip"): DOCKER_LAYER_GZIP,
    ("docker", "none"): DOCKER_LAYER,
}
_FOREIGN = {"oci": OCI_LAYER_FOREIGN, "docker": DOCKER_LAYER_FOREIGN}


def layer_family(media_type: str, family: Family) -> str:
    """The media type of the same layer bytes in `family`; unknown ones are returned as they are."""
    if media_type in _FOREIGN.values():
        return _FOREIGN[family.value]
    for (_, compression), known in _LAYERS.items():
        if known == media_type and (family.value, compression) in _LAYERS:
            return family.layer(compression)
    return media_type
