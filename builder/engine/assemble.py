"""From the finished stage to the image: config, manifest, and where its layers are; and to the index of several."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from builder.engine.annotations import annotations_of
from builder.engine.layers import Layer
from builder.engine.request import BuildRequest
from builder.engine.stage import Stage, dated
from builder.errors import UsageError
from builder.image.config import ImageConfig
from builder.image.descriptor import Descriptor
from builder.image.manifest import Index, Manifest
from builder.image.media_types import Family, layer_family
from builder.image.platform import Platform
from builder.storage.blob import Blob
from builder.storage.image import Image, ImageIndex

_UNKNOWN = Platform("unknown", "unknown")
"""The platform of what is no image: an attestation."""


def assembled(
    stage: Stage, request: BuildRequest, platform: Platform | None = None, family: Family | None = None
) -> Image:
    """The image of a stage; waits for its layers. Raises what writing them raised.

    Args:
        platform: what it was built for; None for the request's.
        family: media types; None for those of the stage.
    """
    layers = [layer.result() for layer in stage.layers]
    family = family or image_family(stage, request)
    config = image_config(stage, request, layers).to_bytes()
    blobs = tuple(_in_family(layer.blob, family) for layer in layers)
    manifest = Manifest(
        family=family,
        config=Descriptor.of(family.config, config),
        layers=tuple(blob.descriptor for blob in blobs),
        annotations=annotations_of("manifest", request.annotations, platform or request.platform),
    )
    if len(request.platforms) < 2 and annotations_of("index", request.annotations):
        raise UsageError("--annotation of an index needs more than one --platform")
    return Image(manifest=manifest, config=config, layers=blobs)


def joined(
    stages: Sequence[Stage],
    request: BuildRequest,
    platforms: Sequence[Platform],
    attested: Callable[[Image, int], Image] | None = None,
) -> ImageIndex:
    """The index of the images of `stages`, each for its platform: a Docker manifest list if all are Docker's.

    Where only some are, those become OCI images: one family for all that the index leads to.

    Args:
        attested: makes an attestation about an image, whose number it is given.
    """
    families = {image_family(stage, request) for stage in stages}
    family = families.pop() if len(families) == 1 else Family.OCI
    images = tuple(
        assembled(stage, request, platform, family) for stage, platform in zip(stages, platforms, strict=True)
    )
    children = tuple(
        replace(
            image.descriptor,
            platform=platform,
            annotations=annotations_of("manifest-descriptor", request.annotations, platform),
        )
        for image, platform in zip(images, platforms, strict=True)
    )
    about = tuple(attested(image, number) for number, image in enumerate(images)) if attested else ()
    entries = (*children, *(_entry(each, image) for each, image in zip(about, images, strict=False)))
    index = Index(family=family, manifests=entries, annotations=annotations_of("index", request.annotations))
    return ImageIndex(index=index, children=(*images, *about))


def _entry(attestation: Image, image: Image) -> Descriptor:
    """What an index says of an attestation about `image` (BuildKit, "Image attestation storage")."""
    annotations = {
        "vnd.docker.reference.digest": str(image.digest),
        "vnd.docker.reference.type": "attestation-manifest",
    }
    return replace(attestation.descriptor, platform=_UNKNOWN, annotations=annotations)


def image_family(stage: Stage, request: BuildRequest) -> Family:
    """The one family of all media types of the image: zstd layers and attestations are OCI's alone."""
    if request.format.compression == "zstd" or request.provenance is not None:
        return Family.OCI
    return request.format.family or stage.family


def image_config(stage: Stage, request: BuildRequest, layers: list[Layer]) -> ImageConfig:
    """The config with everything that the instructions and the flags said."""
    config = stage.config
    if request.labels:
        config = replace(config, labels={**config.labels, **request.labels})
    created, history = dated(stage)
    return replace(
        stage.image,
        created=created,
        config=config,
        diff_ids=tuple(layer.diff_id for layer in layers),
        history=history,
    )


def _in_family(blob: Blob, family: Family) -> Blob:
    media_type = layer_family(blob.descriptor.media_type, family)
    if media_type == blob.descriptor.media_type:
        return blob
    return replace(blob, descriptor=replace(blob.descriptor, media_type=media_type))
