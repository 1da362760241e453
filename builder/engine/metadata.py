"""``--metadata-file``: what came of the build, as JSON with BuildKit's names (``docker buildx build``)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from builder.image.reference import Reference
from builder.storage.image import Image, ImageIndex


def metadata(result: Image | ImageIndex, destinations: Sequence[Reference]) -> bytes:
    """The document, its keys sorted, with a newline at its end. An index has no config digest."""
    document: dict[str, Any] = {
        "containerimage.descriptor": result.descriptor.to_json(),
        "containerimage.digest": str(result.digest),
    }
    if isinstance(result, Image):
        document["containerimage.config.digest"] = str(result.manifest.config.digest)
    if destinations:
        document["image.name"] = ",".join(str(each) for each in destinations)
    return json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False).encode() + b"\n"
