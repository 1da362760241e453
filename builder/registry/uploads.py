"""Blobs to a registry (OCI distribution-spec, "Pushing Blobs"): only if it does not have them, mounted if it can."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Literal
from urllib.parse import quote, urlencode

from builder.digest import Readable
from builder.image.reference import Reference
from builder.progress import log
from builder.registry.downloads import blob_exists
from builder.registry.endpoint import Endpoint
from builder.registry.errors import ConnectionFailed, RegistryError
from builder.registry.exchange import Response
from builder.registry.retry import is_passing, retry_after
from builder.registry.transfer import Transferred
from builder.storage.blob import Blob, BlobSource

PushOutcome = Literal["exists", "mounted", "uploaded"]
# a registry answers when it has stored the whole blob, which takes long on object storage
_PATIENCE = 900.0
_LOST_UPLOAD = (404, 416)
_NO_MOUNT = (400, 401, 403, 404, 405, 415)


def push_blob(endpoint: Endpoint, blob: Blob, repository: Reference) -> PushOutcome:
    """Make sure that `repository` has `blob`. What breaks off is begun again, this blob alone.

    Raises RegistryError, and what the blob's source raises.
    """
    digest = blob.descriptor.digest
    transferred = Transferred(endpoint.progress, "push", digest, blob.descriptor.size)
    for failures in range(1, endpoint.attempts + 1):
        try:
            outcome = _push(endpoint, blob, repository, transferred)
        except _BrokenUpload as broken:
            if failures == endpoint.attempts or not endpoint.pauses.allows(broken.asked):
                raise broken.error from None
            log(endpoint.progress, "warning", f"{broken.error.message}; beginning blob {digest} again")
            endpoint.pauses.wait(failures, broken.asked)
            continue
        note = {"exists": "exists", "mounted": f"mounted from {blob.origin.name if blob.origin else ''}"}
        transferred.finish(note.get(outcome, ""))
        return outcome
    raise AssertionError("unreachable")


def check_upload(endpoint: Endpoint, repository: Reference) -> None:
    """Begin an upload and take it back: shows that this user may push. Raises RegistryError."""
    response = endpoint.send("POST", "blobs/uploads/", repository)
    if response.status != 202:
        raise endpoint.refusal(response, f"push to {repository.name}", repository)
    response.start(4096)
    # not every registry can cancel; they clean up by themselves
    with suppress(RegistryError):
        endpoint.send_to("DELETE", endpoint.location(response), repository).start(4096)


class _BrokenUpload(Exception):
    """An upload failed for a reason that may pass; `asked` is how many seconds the registry wants to be left alone."""

    def __init__(self, error: RegistryError, asked: float | None = None) -> None:
        super().__init__(error.message)
        self.error, self.asked = error, asked


@dataclass(frozen=True, slots=True)
class _UploadBody:
    source: BlobSource
    size: int
    transferred: Transferred

    @contextmanager
    def open(self) -> Iterator[Readable]:
        with self.source.open() as stream:
            yield self.transferred.through(stream)


def _push(endpoint: Endpoint, blob: Blob, repository: Reference, transferred: Transferred) -> PushOutcome:
    if blob_exists(endpoint, repository, blob.descriptor.digest):
        return "exists"
    begun = _mount(endpoint, blob, repository) or endpoint.send("POST", "blobs/uploads/", repository)
    if begun.status == 201:
        begun.start(4096)
        return "mounted"
    if begun.status != 202:
        raise endpoint.refusal(begun, f"push to {repository.name}", repository)
    begun.start(4096)
    body = _UploadBody(blob.source, blob.descriptor.size, transferred)
    url = _with_digest(endpoint.location(begun), blob)
    try:
        response = endpoint.send_to("PUT", url, repository, body=body, patience=_PATIENCE)
    except ConnectionFailed as error:
        if error.transient and error.request.startswith("PUT "):
            raise _BrokenUpload(error) from error
        raise  # the source's own failure, which has been tried again where it happened
    if not 200 <= response.status < 300:
        raise _upload_error(endpoint, response, blob, repository)
    response.start(4096)
    return "uploaded"


def _mount(endpoint: Endpoint, blob: Blob, repository: Reference) -> Response | None:
    """Ask for a mount; None if there is nothing to mount from or the registry does not want to hear of it."""
    origin = blob.origin
    if origin is None or origin.registry != repository.registry or origin.repository == repository.repository:
        return None
    query = urlencode({"mount": str(blob.descriptor.digest), "from": origin.repository})
    try:
        response = endpoint.send("POST", f"blobs/uploads/?{query}", repository, mount_from=origin)
    except RegistryError as error:
        if error.status in _NO_MOUNT:  # the token server gives no token for both repositories
            return None
        raise
    if response.status in _NO_MOUNT:
        response.start(4096)
        return None
    return response


def _with_digest(location: str, blob: Blob) -> str:
    separator = "&" if "?" in location else "?"
    return f"{location}{separator}digest={quote(str(blob.descriptor.digest))}"


def _upload_error(endpoint: Endpoint, response: Response, blob: Blob, repository: Reference) -> Exception:
    asked = retry_after(response)
    error = endpoint.refusal(response, f"push blob {blob.descriptor.digest} to {repository.name}", repository)
    passing = is_passing(response.status) or response.status in _LOST_UPLOAD
    return _BrokenUpload(error, asked) if passing else error
