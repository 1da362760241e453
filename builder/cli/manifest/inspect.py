"""``builder manifest inspect REF``: what a reference is, for people; ``--raw`` for programs."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from typing import Any

from builder.cli.manifest.options import image
from builder.cli.read_options import registry_options
from builder.cli.registries import registries
from builder.cli.session import Session
from builder.errors import UsageError
from builder.image.manifest import Index, Manifest, parse_manifest
from builder.image.reference import Reference
from builder.registry.children import REFERENCE_DIGEST, is_attestation, platform_in
from builder.registry.client import FetchedManifest


def inspect(session: Session) -> int:
    """Print the manifest or index to standard output. Raises BuilderError."""
    if len(session.arguments.positional) != 1:
        raise UsageError("manifest inspect needs the reference of one image")
    reference = image(session.arguments.positional[0])
    client = registries(registry_options(session.arguments), session)
    session.signals.on_stop(client.interrupt)
    try:
        fetched = client.manifest(reference)
    finally:
        client.stop()
    session.progress.close()
    if session.arguments.switch("raw"):
        sys.stdout.buffer.write(fetched.data)
        sys.stdout.buffer.flush()
        return 0
    print("\n".join(_lines(reference, fetched)), flush=True)
    return 0


def _lines(reference: Reference, fetched: FetchedManifest) -> Iterator[str]:
    found = parse_manifest(fetched.data, fetched.media_type, str(reference))
    document = json.loads(fetched.data)
    yield f"Name:       {reference}"
    yield f"MediaType:  {found.family.index if isinstance(found, Index) else found.family.manifest}"
    yield f"Digest:     {fetched.digest}"
    yield f"Size:       {len(fetched.data)}"
    for key, value in found.annotations.items():
        yield f"Annotation: {key}={value}"
    if isinstance(found, Manifest):
        yield from _image(found)
        return
    yield "Manifests:"
    for entry in document["manifests"]:
        yield from _child(entry)


def _image(manifest: Manifest) -> Iterator[str]:
    yield f"Config:     {manifest.config.digest}"
    yield "Layers:"
    for layer in manifest.layers:
        yield f"  {layer.digest} {layer.size} {layer.media_type}"


def _child(entry: Mapping[str, Any]) -> Iterator[str]:
    annotations = entry.get("annotations") or {}
    if is_attestation(entry):
        what = f"attestation of {annotations.get(REFERENCE_DIGEST, 'an unknown image')}"
    else:
        platform = entry.get("platform") or {}
        version = f" {platform['os.version']}" if platform.get("os.version") else ""
        what = f"{platform_in(platform)}{version}" if platform else "no platform"
    yield f"  {entry['digest']} {entry['size']} {entry.get('mediaType', '')} {what}"
