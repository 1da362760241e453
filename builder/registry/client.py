"""All registries: manifests and blobs, from and to (OCI distribution-spec)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from typing import TypeVar

from builder.digest import Digest, Readable
from builder.errors import DigestMismatch, ManifestError
from builder.image.descriptor import Descriptor
from builder.image.reference import Reference
from builder.progress import Progress, log
from builder.registry.blob_sources import AtUrl, BlobPlace, InRepository
from builder.registry.connections import Connections
from builder.registry.downloads import Download, blob_exists
from builder.registry.errors import ConnectionFailed, RegistryError
from builder.registry.fetched import FetchedManifests
from builder.registry.immutable_tags import is_immutable_tag
from builder.registry.keychain import Keychain
from builder.registry.manifests import FetchedManifest, existing_tag, fetch_digest, fetch_manifest, put_manifest
from builder.registry.mirrors import candidates
from builder.registry.network import Network
from builder.registry.once import Uploads
from builder.registry.policy import RegistryPolicy
from builder.registry.uploads import PushOutcome, check_upload, push_blob
from builder.storage.blob import Blob

Result = TypeVar("Result")

__all__ = ["FetchedManifest", "PushOutcome", "Registries", "RemoteBlob"]


class Registries:
    """The registries that a build talks to. Thread-safe; nothing is imported or connected before the first request.

    Every method raises RegistryError if a registry cannot be reached or refuses, and BuilderError if credentials cannot
    be read.

    Attributes:
        network: what they are reached by; made of `policy` and `environment` if none is given.
        kept: tags that were to be pushed and stay as they are, since they may not be moved; with the digests that
            they have, as far as the registry tells.
    """

    def __init__(
        self,
        policy: RegistryPolicy,
        keychain: Keychain,
        progress: Progress,
        environment: Mapping[str, str],
        network: Network | None = None,
    ) -> None:
        self.progress = progress
        self.network = network or Network(policy, environment, progress)
        self._policy = policy
        self._connections = Connections(policy, keychain, progress, self.network)
        self._uploads, self._fetched = Uploads(), FetchedManifests()
        self._unreachable: set[str] = set()
        self.kept: dict[Reference, Digest | None] = {}

    def manifest(self, reference: Reference) -> FetchedManifest:
        """Fetch a manifest or index, from the first mirror that has it or from the registry itself.

        Raises DigestMismatch, and ManifestError if it is larger than 4 MiB.
        """
        found = self._first(
            reference, lambda place: fetch_manifest(self._connections.endpoint(place.registry, "pull"), place)
        )
        return FetchedManifest(
            data=found.data,
            media_type=found.media_type,
            digest=found.digest,
            reference=reference.with_digest(found.digest),
        )

    def manifest_once(self, reference: Reference) -> FetchedManifest:
        """As `manifest`; what this process has fetched in this way before is not asked for again."""
        found = self._fetched.once(reference, lambda: self.manifest(reference))
        return replace(found, reference=reference.with_digest(found.digest))

    def digest(self, reference: Reference) -> Digest | None:
        """The digest that the tag has now, without fetching the manifest; None if the registry does not say."""
        return self._first(
            reference, lambda place: fetch_digest(self._connections.endpoint(place.registry, "pull"), place)
        )

    @contextmanager
    def open_blob(self, repository: Reference, descriptor: Descriptor) -> Iterator[Readable]:
        """A stream of a blob, verified at its end (DigestMismatch) and resumed where a connection breaks off.

        Mirrors go first, the URLs of a layer that no registry may have (image-spec, "Non-Distributable Layers") last.
        """
        digest, endpoint = descriptor.digest, self._connections.endpoint(repository.registry, "pull")
        places: list[BlobPlace] = [
            InRepository(self._connections.endpoint(place.registry, "pull"), place, digest)
            for place in self._places(repository)
        ]
        urls = [url for url in descriptor.urls if url.startswith(("https://", "http://"))]
        places += [AtUrl(endpoint, repository, digest, url) for url in urls]
        download = Download(endpoint, places, descriptor)
        with download.opened() as stream:
            yield stream

    def has_blob(self, repository: Reference, digest: Digest) -> bool:
        """True if the repository has the blob."""
        return blob_exists(self._connections.endpoint(repository.registry, "pull"), repository, digest)

    def blob(self, repository: Reference, descriptor: Descriptor) -> Blob:
        """The blob where it is; it is downloaded when it is opened, and mounted where it is only passed on."""
        return Blob(descriptor=descriptor, source=RemoteBlob(self, repository, descriptor), origin=repository)

    def push_blob(
        self, blob: Blob, repository: Reference, *, stopped: Callable[[], bool] = lambda: False
    ) -> PushOutcome:
        """Make sure that the repository has the blob: by asking, by a mount from `blob.origin`, or by an upload.

        What is pushed to several repositories of a registry is uploaded once, and mounted from there. When `stopped`
        says so, nothing that fails is tried again.
        """
        endpoint = self._connections.endpoint(repository.registry, "push")
        blob = replace(blob, origin=self._origin_at(repository.registry, blob.origin))
        return self._uploads.once(blob, repository, lambda found: push_blob(endpoint, found, repository, stopped))

    def _origin_at(self, registry: str, origin: Reference | None) -> Reference | None:
        """Where `registry` itself has what comes from `origin`, if it is a mirror of that."""
        if origin is None or origin.registry == registry:
            return origin
        return next((place for place in candidates(self._policy, origin) if place.registry == registry), origin)

    def push_manifest(self, reference: Reference, media_type: str, data: bytes) -> Digest:
        """Push a manifest or index, whose blobs and children are there; returns its digest.

        Where the policy says so, a tag that exists and may not be moved is left as it is (`kept`).
        """
        self._fetched.forget(reference)
        endpoint = self._connections.endpoint(reference.registry, "push")
        try:
            return put_manifest(endpoint, reference, media_type, data)
        except RegistryError as error:
            if not (self._policy.ignore_immutable_tags and is_immutable_tag(error)):
                raise
            exists, digest = existing_tag(endpoint, reference)
            if not exists:
                raise
            log(self.progress, "warning", f"{error.message}; the tag stays as it is")
            self.kept[reference] = digest
            return digest or Digest.of(data)

    def check_permission(self, repository: Reference) -> None:
        """Raises RegistryError unless this user may push to the repository. Leaves no upload open."""
        check_upload(self._connections.endpoint(repository.registry, "push"), repository)

    def stop(self) -> None:
        """Give up what is under way or waits to be tried again; for the end of an interrupted build."""
        self._connections.stop()

    def interrupt(self) -> None:
        """As `stop`, which has to follow; this much can be done in a signal handler."""
        self._connections.interrupt()

    def abandon(self) -> None:
        """Break off what is under way; what may be tried again is."""
        self._connections.abandon()

    def _first(self, reference: Reference, attempt: Callable[[Reference], Result]) -> Result:
        """What the first of the places that succeeds gives; the last one's error if none does."""
        *mirrors, last = self._places(reference)
        for mirror in mirrors:
            try:
                return attempt(mirror)
            except (RegistryError, DigestMismatch, ManifestError) as error:
                if isinstance(error, ConnectionFailed):
                    self._unreachable.add(mirror.registry)
                log(self.progress, "warning", f"{error.message}; trying the next place")
        return attempt(last)

    def _places(self, reference: Reference) -> list[Reference]:
        """Where to try, in order; mirrors that could not be reached before are left out, unless none is left."""
        *mirrors, last = candidates(self._policy, reference)
        return [*(mirror for mirror in mirrors if mirror.registry not in self._unreachable), last]


@dataclass(frozen=True, slots=True)
class RemoteBlob:
    """A BlobSource that streams from a registry."""

    registries: Registries
    repository: Reference
    descriptor: Descriptor

    def open(self) -> AbstractContextManager[Readable]:
        return self.registries.open_blob(self.repository, self.descriptor)
