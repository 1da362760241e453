"""From the finished stage to the image: config, manifest, and where its layers are."""

from __future__ import annotations

from dataclasses import replace

from builder.engine.layers import Layer
from builder.engine.request import BuildRequest
from builder.engine.stage import Stage, rfc3339
from builder.image.config import ImageConfig
from builder.image.descriptor import Descriptor
from builder.image.manifest import Manifest
from builder.image.media_types import Family, layer_family
from builder.storage.blob import Blob
from builder.storage.image import Image


def assembled(stage: Stage, request: BuildRequest) -> Image:
    """The image of a stage; waits for its layers. Raises what writing them raised."""
    layers = [layer.result() for layer in stage.layers]
    family = image_family(stage, request)
    config = image_config(stage, request, layers).to_bytes()
    blobs = tuple(_in_family(layer.blob, family) for layer in layers)
    manifest = Manifest(
        family=family,
        config=Descriptor.of(family.config, config),
        layers=tuple(blob.descriptor for blob in blobs),
        annotations=request.annotations,
    )
    return Image(manifest=manifest, config=config, layers=blobs)


def image_family(stage: Stage, request: BuildRequest) -> Family:
    """The one family of all media types of the image: zstd layers are OCI's alone."""
    if request.format.compression == "zstd":
        return Family.OCI
    return request.format.family or stage.family


def image_config(stage: Stage, request: BuildRequest, layers: list[Layer]) -> ImageConfig:
    """The config with everything that the instructions and the flags said."""
    config = stage.config
    if request.labels:
        config = replace(config, labels={**config.labels, **request.labels})
    return replace(
        stage.image,
        created=rfc3339(stage.created),
        config=config,
        diff_ids=tuple(layer.diff_id for layer in layers),
        history=tuple(stage.history),
    )


def _in_family(blob: Blob, family: Family) -> Blob:
    media_type = layer_family(blob.descriptor.media_type, family)
    if media_type == blob.descriptor.media_type:
        return blob
    return replace(blob, descriptor=replace(blob.descriptor, media_type=media_type))
