"""Provenance: an attestation of how an image was built, as BuildKit makes it in its mode ``min``.

It is an in-toto statement with a SLSA provenance v0.2 predicate, kept as BuildKit keeps it ("Image attestation
storage"): a manifest of its own in the index, for the platform ``unknown/unknown``. Values of build arguments, names of
secrets and what the context holds are not in it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlsplit

from builder.digest import Digest
from builder.engine.bases import Bases
from builder.engine.plan import Plan
from builder.engine.request import BuildRequest
from builder.engine.stage import rfc3339
from builder.image.descriptor import Descriptor
from builder.image.manifest import Manifest, encode
from builder.image.media_types import Family
from builder.image.platform import Platform
from builder.image.reference import DEFAULT_REGISTRY, Reference
from builder.storage.blob import Blob, MemoryBlob
from builder.storage.image import Image

PREDICATE = "https://slsa.dev/provenance/v0.2"
_STATEMENT = "https://in-toto.io/Statement/v0.1"
_BUILD_TYPE = "https://mobyproject.org/buildkit@v1"
_IN_TOTO = "application/vnd.in-toto+json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What is known of a build when it is over. Times in seconds since the epoch.

    Under SOURCE_DATE_EPOCH and ``--reproducible`` the times are not told: the result does not depend on them.
    """

    request: BuildRequest
    plan: Plan
    bases: Bases
    started: float
    finished: float


def attestation(image: Image, record: Record) -> Image:
    """The attestation about `image`, in the form of an image: its only layer is the statement."""
    statement = json.dumps(_statement(image, record), ensure_ascii=False).encode()
    digest = Digest.of(statement)
    config = encode(
        {
            "architecture": "unknown",
            "os": "unknown",
            "config": {},
            "rootfs": {"type": "layers", "diff_ids": [str(digest)]},
        }
    )
    layer = Descriptor(
        media_type=_IN_TOTO,
        digest=digest,
        size=len(statement),
        annotations={"in-toto.io/predicate-type": PREDICATE},
    )
    manifest = Manifest(family=Family.OCI, config=Descriptor.of(Family.OCI.config, config), layers=(layer,))
    return Image(manifest=manifest, config=config, layers=(Blob(descriptor=layer, source=MemoryBlob(statement)),))


def _statement(image: Image, record: Record) -> dict[str, Any]:
    names = [package_url(each, record.plan.platform) for each in record.request.outputs.destinations] or ["_"]
    return {
        "_type": _STATEMENT,
        "predicateType": PREDICATE,
        "subject": [{"name": name, "digest": {"sha256": image.digest.hex}} for name in names],
        "predicate": _predicate(record),
    }


def _predicate(record: Record) -> dict[str, Any]:
    request, provenance = record.request, record.request.provenance
    parameters: dict[str, Any] = {"frontend": "dockerfile.v0"}
    if request.targets:
        parameters["args"] = {"target": request.targets[0]}
    return {
        "builder": {"id": provenance.builder_id if provenance else ""},
        "buildType": _BUILD_TYPE,
        "materials": _materials(record),
        "invocation": {
            "configSource": {"entryPoint": _entry_point(request.dockerfile_path)},
            "parameters": parameters,
            "environment": {"platform": str(Platform.host())},
        },
        "metadata": {
            "buildStartedOn": rfc3339(_told(request, record.started)),
            "buildFinishedOn": rfc3339(_told(request, record.finished)),
            # arguments are left out, and the context is not listed
            "completeness": {"parameters": False, "environment": True, "materials": False},
            "reproducible": False,
        },
    }


def _entry_point(path: str) -> str:
    """The Dockerfile as the context has it; of one elsewhere the name alone: its URL may have a token in it."""
    if "://" in path or path.startswith("/"):
        return urlsplit(path).path.rpartition("/")[2]
    return path


def _materials(record: Record) -> list[dict[str, Any]]:
    """The images that this platform's build has used, each once, by name."""
    platforms = {stage.platform for stage in record.plan.stages}
    found = {
        package_url(reference, platform): reference.digest.hex
        for reference, platform in record.bases.used()
        if platform in platforms and reference.digest is not None
    }
    return [{"uri": uri, "digest": {"sha256": digest}} for uri, digest in sorted(found.items())]


def package_url(reference: Reference, platform: Platform) -> str:
    """A package URL of the type ``docker`` (purl-spec), as BuildKit writes it."""
    name = reference.name
    if reference.registry == DEFAULT_REGISTRY:
        name = reference.repository.removeprefix("library/")
    version = f"@{quote(reference.tag)}" if reference.tag else ""
    return f"pkg:docker/{quote(name)}{version}?platform={quote(str(platform), safe='')}"


def _told(request: BuildRequest, seconds: float) -> int:
    if request.format.epoch is not None or request.format.reproducible:
        return request.format.epoch or 0
    return int(seconds)
