"""Manifests from and to a registry (OCI distribution-spec, "Pulling manifests" and "Pushing Manifests")."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from dataclasses import dataclass, field

from builder.digest import Digest
from builder.errors import BuilderError, DigestMismatch, InvalidReference, ManifestError
from builder.image import media_types
from builder.image.manifest import MAX_MANIFEST_BYTES
from builder.image.reference import Reference
from builder.registry.endpoint import Endpoint
from builder.registry.exchange import Response
from builder.registry.tokens import BytesBody

_ACCEPT = ", ".join((*media_types.MANIFESTS, *media_types.INDEXES, *media_types.DOCKER_SCHEMA1))

_NO_HEAD = (405, 501)
_GENERIC = ("application/json", "application/octet-stream", "text/plain")


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchedManifest:
    """A manifest or index as the registry has it, verified.

    Attributes:
        reference: what was asked for, with its digest.
        media_type: as the registry says, "" if it says nothing of use.
    """

    data: bytes = field(repr=False)
    media_type: str
    digest: Digest
    reference: Reference


def fetch_manifest(endpoint: Endpoint, reference: Reference) -> FetchedManifest:
    """Raises RegistryError, ManifestError (too large), DigestMismatch."""
    response = endpoint.send("GET", f"manifests/{reference.identifier}", reference, headers={"Accept": _ACCEPT})
    if response.status != 200:
        raise endpoint.refusal(response, f"pull {reference}", reference, "the image does not exist")
    data = response.start(MAX_MANIFEST_BYTES + 1)
    if len(data) > MAX_MANIFEST_BYTES:
        raise ManifestError(f"the manifest of {reference} is larger than {MAX_MANIFEST_BYTES} bytes")
    digest = _verified(data, reference.digest or _stated_digest(response), reference)
    media_type = response.headers.get("content-type", "").partition(";")[0].strip()
    if media_type in _GENERIC:
        media_type = ""
    return FetchedManifest(data=data, media_type=media_type, digest=digest, reference=reference.with_digest(digest))


def fetch_digest(endpoint: Endpoint, reference: Reference) -> Digest | None:
    """The digest that a tag has now, by HEAD, which registries do not count as a pull; None if this one does not say.

    Raises RegistryError.
    """
    response = endpoint.send("HEAD", f"manifests/{reference.identifier}", reference, headers={"Accept": _ACCEPT})
    with response:
        if response.status in _NO_HEAD:
            return None
        if response.status != 200:
            raise endpoint.refusal(response, f"pull {reference}", reference, "the image does not exist")
        return _stated_digest(response)


def existing_tag(endpoint: Endpoint, reference: Reference) -> tuple[bool, Digest | None]:
    """Whether there is such a tag, and its digest as far as the registry tells.

    A refusal to look at it says that there is one.
    """
    response = endpoint.send("HEAD", f"manifests/{reference.identifier}", reference, headers={"Accept": _ACCEPT})
    with response:
        stated = _stated_digest(response) if response.status == 200 else None
    if response.status == 200 and stated is None:
        with suppress(BuilderError):
            stated = fetch_manifest(endpoint, reference).digest
    return response.status != 404, stated


def put_manifest(endpoint: Endpoint, reference: Reference, media_type: str, data: bytes) -> Digest:
    """Push a manifest under the tag of `reference`, or under its digest if it has no tag; returns the digest.

    Raises RegistryError; DigestMismatch if the registry understood something else.
    """
    name = reference.tag or reference.identifier
    headers = {"Content-Type": media_type}
    response = endpoint.send("PUT", f"manifests/{name}", reference, headers=headers, body=BytesBody(data))
    if not 200 <= response.status < 300:
        raise endpoint.refusal(response, f"push {reference}", reference)
    response.start(4096)
    return _verified(data, _stated_digest(response), reference)


def _stated_digest(response: Response) -> Digest | None:
    """The Docker-Content-Digest header; a registry that sends none, or none that is valid, says nothing."""
    try:
        return Digest.parse(response.headers.get("docker-content-digest", ""))
    except InvalidReference:
        return None


def _verified(data: bytes, expected: Digest | None, reference: Reference) -> Digest:
    if expected is None:
        return Digest.of(data)
    found = hashlib.new(expected.algorithm, data).hexdigest()
    if found != expected.hex:
        raise DigestMismatch(
            f"the manifest of {reference} has the wrong content: "
            f"its digest is {expected.algorithm}:{found} where {expected} was expected"
        )
    return expected
