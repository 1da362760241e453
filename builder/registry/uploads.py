"""Blobs to a registry (OCI distribution-spec, "Pushing Blobs"): only if it does not have them, mounted if it can."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Literal
from urllib.parse import urlencode

from builder.digest import Digest
from builder.image.reference import Reference
from builder.progress import log
from builder.registry.downloads import blob_exists
from builder.registry.endpoint import Endpoint
from builder.registry.errors import Cancelled, ConnectionFailed, RegistryError
from builder.registry.exchange import Response
from builder.registry.transfer import Transferred
from builder.registry.upload_session import BrokenUpload, UploadSession
from builder.storage.blob import Blob

PushOutcome = Literal["exists", "mounted", "uploaded"]
_NO_MOUNT = (400, 401, 403, 404, 405, 415)
_NOT_ALLOWED = (401, 403)
_NOT_TOLD = (403, 405, 501)
# bytes of progress between two failures after which going on is worthwhile, however many failures there were
_WORTHWHILE = 64 * 1024


def push_blob(
    endpoint: Endpoint, blob: Blob, repository: Reference, stopped: Callable[[], bool] = lambda: False
) -> PushOutcome:
    """Make sure that `repository` has `blob`. What breaks off goes on where it was, or is begun again: this blob alone.

    Nothing is tried again once `stopped` says so. Raises RegistryError, and what the blob's source raises.
    """
    transferred = Transferred(endpoint.progress, "push", blob.descriptor.digest, blob.descriptor.size)
    outcome = _Push(endpoint, blob, repository, transferred, stopped).run()
    note = {"exists": "exists", "mounted": f"mounted from {blob.origin.name if blob.origin else ''}"}
    transferred.finish(note.get(outcome, ""))
    return outcome


def check_upload(endpoint: Endpoint, repository: Reference) -> None:
    """Begin an upload and take it back: shows that this user may push. Raises RegistryError."""
    response = endpoint.send("POST", "blobs/uploads/", repository)
    if response.status != 202:
        raise endpoint.refusal(response, f"push to {repository.name}", repository)
    response.start(4096)
    # not every registry can cancel; they clean up by themselves
    with suppress(RegistryError):
        endpoint.send_to("DELETE", endpoint.location(response), repository, retry=True).start(4096)


class _Push:
    """The tries that one blob gets."""

    def __init__(
        self,
        endpoint: Endpoint,
        blob: Blob,
        repository: Reference,
        transferred: Transferred,
        stopped: Callable[[], bool],
    ) -> None:
        self._endpoint, self._blob, self._repository = endpoint, blob, repository
        self._transferred, self._stopped = transferred, stopped
        self._session: UploadSession | None = None
        # the farthest that any session of this blob has come: what only repeats itself is no progress
        self._failures, self._farthest = 0, 0

    def run(self) -> PushOutcome:
        try:
            while True:
                try:
                    return self._try()
                except BrokenUpload as broken:
                    self._after(broken)
        except (ConnectionFailed, Cancelled):
            raise
        except Exception:
            if self._session:
                self._session.cancel()
            raise

    def _try(self) -> PushOutcome:
        if self._session is None:
            if _is_there(self._endpoint, self._repository, self._blob.descriptor.digest):
                return "exists"
            begun = _mount(self._endpoint, self._blob, self._repository)
            begun = begun or self._endpoint.send("POST", "blobs/uploads/", self._repository)
            if begun.status == 201:
                begun.start(4096)
                return "mounted"
            if begun.status != 202:
                raise self._endpoint.refusal(begun, f"push to {self._repository.name}", self._repository)
            begun.start(4096)
            self._session = UploadSession(self._endpoint, self._blob, self._repository, begun, self._transferred)
        self._session.send()
        return "uploaded"

    def _after(self, broken: BrokenUpload) -> None:
        """Pause and find out where to go on, or raise if that was the last try."""
        self._endpoint.pauses.check()
        if self._stopped():
            raise Cancelled
        self._failures += 1
        if self._failures >= self._endpoint.attempts or not self._endpoint.pauses.allows(broken.asked):
            raise broken.error from None
        self._endpoint.pauses.wait(self._failures, broken.asked)
        session, digest = self._session, self._blob.descriptor.digest
        if session and not broken.lost and session.recover():
            if session.offset - self._farthest >= _WORTHWHILE:
                self._failures = 0
            self._farthest = max(self._farthest, session.offset)
            where = f"going on with blob {digest} after {session.offset} bytes"
        else:
            self._session = None
            where = f"beginning blob {digest} again"
        log(self._endpoint.progress, "warning", f"{broken.error.message}; {where}")


def _is_there(endpoint: Endpoint, repository: Reference, digest: Digest) -> bool:
    """False, too, where the registry does not tell whoever may only write: the upload will show what is allowed."""
    try:
        return blob_exists(endpoint, repository, digest)
    except RegistryError as error:
        if error.status not in _NOT_TOLD:
            raise
        return False


def _mount(endpoint: Endpoint, blob: Blob, repository: Reference) -> Response | None:
    """Ask for a mount; None if there is nothing to mount from or the registry does not want to hear of it."""
    origin = blob.origin
    if origin is None or origin.registry != repository.registry or origin.repository == repository.repository:
        return None
    if not endpoint.may_mount(origin, repository):
        return None
    query = urlencode({"mount": str(blob.descriptor.digest), "from": origin.repository})
    try:
        response = endpoint.send("POST", f"blobs/uploads/?{query}", repository, mount_from=origin)
    except RegistryError as error:
        if error.status not in _NO_MOUNT:
            raise
        status = error.status  # the token server gives no token for both repositories
    else:
        status = response.status
        if status not in _NO_MOUNT:
            return response
        response.start(4096)
    if status in _NOT_ALLOWED:
        endpoint.forbid_mount(origin, repository)
    return None
