"""An entry of a layer cache as an image: what registries, their garbage collectors and people's tools understand.

As kaniko's: a manifest with the one layer, and a config that says when it was built (``created``) and what the layer is
uncompressed (``rootfs.diff_ids``). What only the builder knows of a result is in labels of the config.
"""

from __future__ import annotations

import calendar
import re
import time
from collections.abc import Mapping
from datetime import UTC, datetime

from builder.cache.base import CachedLayer, Work
from builder.errors import ManifestError
from builder.image.config import ContainerConfig, History, ImageConfig
from builder.image.descriptor import Descriptor
from builder.image.manifest import Index, Manifest, parse_manifest
from builder.image.media_types import LAYER_TYPES, Family
from builder.image.platform import Platform
from builder.storage.blob import Blob
from builder.storage.image import Image

_IDENTITY, _BELOW, _WORK = "builder.cache.identity", "builder.cache.below", "builder.cache.work"
_WORKS: tuple[Work, ...] = ("run", "copy", "workdir")
_MAX_CONFIG_BYTES = 1 << 20
_FRACTION = re.compile(r"\.\d+")


def entry_of(result: CachedLayer) -> Image:
    """The image that keeps `result`."""
    created = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(result.created))
    labels = {_IDENTITY: result.identity, _BELOW: result.below, _WORK: result.work}
    config = ImageConfig(
        platform=Platform.host(),
        created=created,
        config=ContainerConfig(labels=labels),
        diff_ids=(result.diff_id,),
        history=(History(created=created, created_by=result.instruction),),
    ).to_bytes()
    family = Family.of(result.blob.descriptor.media_type)
    manifest = Manifest(family=family, config=Descriptor.of(family.config, config), layers=(result.blob.descriptor,))
    return Image(manifest=manifest, config=config, layers=(result.blob,))


def entry_manifest(data: bytes, media_type: str, what: str) -> Manifest:
    """The manifest of an entry. Raises ManifestError if it is something else."""
    found = parse_manifest(data, media_type or None, what)
    if isinstance(found, Index) or len(found.layers) != 1:
        raise ManifestError(f"{what} is no cached layer: it is not an image of one layer")
    if found.layers[0].media_type not in LAYER_TYPES:
        raise ManifestError(f"{what} is no cached layer: its layer is of type {found.layers[0].media_type!r}")
    if found.config.size > _MAX_CONFIG_BYTES:
        raise ManifestError(f"{what} is no cached layer: its config is larger than {_MAX_CONFIG_BYTES} bytes")
    return found


def result_of(config: bytes, layer: Blob, what: str) -> CachedLayer:
    """The result that an entry keeps. Raises ManifestError if its config is not one of an entry."""
    document = ImageConfig.from_bytes(config, what)
    labels = document.config.labels
    created = _seconds_of(document.created or "")
    if created is None or len(document.diff_ids) != 1 or not {_IDENTITY, _BELOW} <= labels.keys():
        raise ManifestError(f"{what} is a cached layer of another form: the builder's labels are not in its config")
    return CachedLayer(
        blob=layer,
        diff_id=document.diff_ids[0],
        created=created,
        identity=labels[_IDENTITY],
        below=labels[_BELOW],
        work=_work(labels, what),
        instruction=document.history[0].created_by if document.history else "",
        origin=what,
    )


def _work(labels: Mapping[str, str], what: str) -> Work:
    for work in _WORKS:
        if labels.get(_WORK) == work:
            return work
    raise ManifestError(f"{what} is a cached layer of another form: no instruction makes {labels.get(_WORK)!r}")


def _seconds_of(text: str) -> int | None:
    """Seconds since the epoch of an RFC 3339 time, whose fraction may have nanoseconds; None if it is none."""
    try:
        found = datetime.fromisoformat(_FRACTION.sub("", text))
    except ValueError:
        return None
    return calendar.timegm((found if found.tzinfo is None else found.astimezone(UTC)).timetuple())
