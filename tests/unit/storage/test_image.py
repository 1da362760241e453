from __future__ import annotations

import json
from dataclasses import replace

import pytest
from stored_images import make_image, tar_of

from builder.digest import Digest
from builder.errors import ManifestError

IMAGE = make_image(tar_of(a=b"1"), tar_of(b=b"2"))


def test_the_digest_is_the_manifests() -> None:
    assert IMAGE.manifest_bytes == IMAGE.manifest.to_bytes()
    assert IMAGE.digest == Digest.of(IMAGE.manifest_bytes)
    assert (IMAGE.descriptor.digest, IMAGE.descriptor.size) == (IMAGE.digest, len(IMAGE.manifest_bytes))
    assert IMAGE.descriptor.media_type == IMAGE.manifest.family.manifest


def test_original_bytes_pass_through() -> None:
    spaced = json.dumps(json.loads(IMAGE.manifest_bytes), indent=3).encode()
    image = replace(IMAGE, manifest_bytes=spaced)
    assert image.digest == Digest.of(spaced)


def test_parts_of_another_image_are_refused() -> None:
    other = make_image(tar_of(c=b"3"))
    with pytest.raises(ManifestError, match="layers"):
        replace(IMAGE, layers=other.layers)
    with pytest.raises(ManifestError, match="config"):
        replace(IMAGE, config=other.config)
