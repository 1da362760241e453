"""The record of a cached layer in the state directory: JSON below ``cache/layers/``, one file a key.

``cache/layers/<first two digits>/<key>.json`` names the blob, which is in the state directory's blob store under its
digest. Beside it ``<key>.inputs.json`` says what went into the key. The record's mtime is when it was last used. Who
reads a record in order to use it holds ``cache/lock`` shared for that moment and touches it; who removes records holds
it exclusively, looks at the mtime again, and leaves alone what was touched since the oldest running build began.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from builder.cache.base import CacheKey, Work
from builder.digest import Digest
from builder.errors import BuilderError, LayerError
from builder.image.descriptor import Descriptor
from builder.image.media_types import DOCKER_LAYER, DOCKER_LAYER_GZIP, OCI_LAYER, OCI_LAYER_GZIP, OCI_LAYER_ZSTD

_VERSION = 1
_LAYER_TYPES = (OCI_LAYER, OCI_LAYER_GZIP, OCI_LAYER_ZSTD, DOCKER_LAYER, DOCKER_LAYER_GZIP)
_WORKS: tuple[Work, ...] = ("run", "copy", "workdir")


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What a record's file says; see CachedLayer for what is not explained here.

    Attributes:
        layer: the blob's descriptor.
        blob_mtime_ns: the mtime of the blob's file when its bytes were last known to be right, in nanoseconds: as long
            as it is the same they are not hashed again.
    """

    key: CacheKey
    layer: Descriptor
    diff_id: Digest
    created: int
    identity: str
    below: str
    work: Work
    instruction: str
    blob_mtime_ns: int = 0

    def to_json(self) -> bytes:
        document = {
            "version": _VERSION,
            "key": self.key.hex,
            "layer": {"mediaType": self.layer.media_type, "digest": str(self.layer.digest), "size": self.layer.size},
            "diff_id": str(self.diff_id),
            "created": self.created,
            "identity": self.identity,
            "below": self.below,
            "work": self.work,
            "instruction": self.instruction,
            "blob_mtime_ns": self.blob_mtime_ns,
        }
        return json.dumps(document).encode()

    @classmethod
    def from_json(cls, data: bytes, key: CacheKey | None = None) -> Record | None:
        """Read what `to_json` wrote; None if another version did.

        Args:
            key: what it is the record of, if the reader knows.

        Raises LayerError for what is damaged, of another key, or not to be believed.
        """
        try:
            document = json.loads(data)
            if document["version"] != _VERSION:
                return None
            found = cls(
                key=CacheKey(_text(document, "key")),
                layer=_descriptor(document["layer"]),
                diff_id=Digest.parse(_text(document, "diff_id")),
                created=_number(document, "created"),
                identity=_text(document, "identity"),
                below=_text(document, "below"),
                work=_WORKS[_WORKS.index(document["work"])],
                instruction=_text(document, "instruction"),
                blob_mtime_ns=_number(document, "blob_mtime_ns"),
            )
        except (ValueError, KeyError, TypeError, RecursionError, BuilderError):
            raise LayerError("a record of the cache is damaged") from None
        if key is not None and found.key != key:
            raise LayerError("a record of the cache is of another key")
        return found


def record_path(directory: Path, key: CacheKey) -> Path:
    """Where the record of `key` is below the cache's `directory`."""
    return directory / "layers" / key.hex[:2] / f"{key.hex}.json"


def inputs_path(directory: Path, key: CacheKey) -> Path:
    """Where the inputs of `key` are."""
    return directory / "layers" / key.hex[:2] / f"{key.hex}.inputs.json"


def lock_path(directory: Path) -> Path:
    """The file that is locked while records are used or removed."""
    return directory / "lock"


def _descriptor(document: Any) -> Descriptor:
    media_type = _text(document, "mediaType")
    if media_type not in _LAYER_TYPES:
        raise ValueError(media_type)
    return Descriptor(
        media_type=media_type,
        digest=Digest.parse(_text(document, "digest")),
        size=_number(document, "size"),
    )


def _text(document: Any, name: str) -> str:
    value = document[name]
    if not isinstance(value, str):
        raise TypeError(name)
    return value


def _number(document: Any, name: str) -> int:
    value = document[name]
    if type(value) is not int or not 0 <= value < 1 << 63:
        raise TypeError(name)
    return value
