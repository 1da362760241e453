"""One upload that a registry has opened (distribution-spec, "Pushing Blobs"): its bytes, in one piece or in several.

A session outlives a connection that breaks off: the registry says what it has got, and the rest follows.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from urllib.parse import quote

from builder.digest import Readable
from builder.image.reference import Reference
from builder.registry.endpoint import Endpoint
from builder.registry.errors import ConnectionFailed, RegistryError
from builder.registry.exchange import Body, Response
from builder.registry.retry import is_passing
from builder.registry.retry_after import retry_after
from builder.registry.tokens import BytesBody
from builder.registry.transfer import Transferred
from builder.storage.blob import CHUNK, Blob

# a registry answers when it has stored the whole blob, which takes long on object storage
_PATIENCE = 900.0
_PATIENCE_TO_CANCEL = 10.0
_LOST = 404
_OUT_OF_ORDER = 416
_TOO_LARGE = 413
_OCTETS = {"Content-Type": "application/octet-stream"}
# bodies that still pass where larger ones are refused; 1 MiB is what nginx lets through unless told otherwise
_CHUNKS = (8 << 20, 1 << 20)
_LONGEST_CHUNK = 64 << 20


class BrokenUpload(Exception):
    """An upload failed for a reason that may pass.

    Attributes:
        asked: how many seconds the registry wants to be left alone.
        lost: the session is gone; the blob has to be begun again.
    """

    def __init__(self, error: RegistryError, *, asked: float | None = None, lost: bool = False) -> None:
        super().__init__(error.message)
        self.error, self.asked, self.lost = error, asked, lost


class UploadSession:
    """An open upload of one blob.

    Args:
        begun: the registry's 202, with the session's Location.

    Attributes:
        offset: bytes that the registry has acknowledged.
    """

    def __init__(
        self, endpoint: Endpoint, blob: Blob, repository: Reference, begun: Response, transferred: Transferred
    ) -> None:
        self._endpoint, self._blob, self._repository = endpoint, blob, repository
        self._transferred = transferred
        self._url = endpoint.location(begun)
        self._shortest = _number(begun.headers.get("oci-chunk-min-length", ""))
        self._continued = False
        self.offset = 0

    def send(self) -> None:
        """Send what is missing, and complete the upload.

        Raises BrokenUpload, RegistryError, and what the blob's source raises.
        """
        chunk = self._endpoint.chunk
        while True:
            try:
                if chunk is None:
                    self._send_at_once()
                else:
                    self._send_chunks(chunk)
                return
            except RegistryError as error:
                chunk = self._smaller(chunk) if error.status == _TOO_LARGE else None
                if chunk is None:
                    raise
                self._endpoint.limit_chunks(chunk, error)

    def recover(self) -> bool:
        """Ask what has arrived; False if the registry has forgotten the upload, or cannot tell. Raises RegistryError.

        distribution-spec, "Resuming an upload"; a registry that cancels what breaks off answers 404.
        """
        response = self._endpoint.send_to("GET", self._url, self._repository, retry=True)
        response.start(4096)
        offset = _acknowledged(response)
        if response.status not in (202, 204) or offset is None or offset > self._size:
            return False
        self._move(response)
        self.offset, self._continued = offset, True
        return True

    def cancel(self) -> None:
        """Take the upload back. Not every registry can do that; they clean up by themselves."""
        with suppress(RegistryError):
            self._endpoint.send_to(
                "DELETE", self._url, self._repository, patience=_PATIENCE_TO_CANCEL, retry=True
            ).start(4096)

    @property
    def _size(self) -> int:
        return self._blob.descriptor.size

    def _send_at_once(self) -> None:
        """In one PUT; what is left of an upload that broke off in one PATCH, which every registry takes."""
        body = _Rest(self._blob, self.offset, self._transferred)
        if self.offset == 0:
            self._put(body)
            return
        if self.offset < self._size:
            self._patch(body)
        self._put(None)

    def _send_chunks(self, chunk: int) -> None:
        """One PATCH after the other; a chunk is in memory, so that none has to be looked for in the source."""
        with _Rest(self._blob, self.offset, self._transferred).open() as stream:
            while data := _exactly(stream, max(chunk, self._shortest)):
                self._patch(BytesBody(data))
        self._put(None)

    def _patch(self, body: Body) -> None:
        end = self.offset + body.size
        headers = {**_OCTETS, "Content-Range": f"{self.offset}-{end - 1}"}
        response = self._request("PATCH", self._url, headers, body)
        response.start(4096)
        self._move(response)
        stated = _acknowledged(response)
        self.offset = end if stated is None else stated
        if self.offset != end:
            host = self._endpoint.host
            error = RegistryError(f"{host} has stored {self.offset} of {end} bytes of {self._what}", host=host)
            raise BrokenUpload(error, lost=self.offset > end)

    def _put(self, body: Body | None) -> None:
        separator = "&" if "?" in self._url else "?"
        url = f"{self._url}{separator}digest={quote(str(self._blob.descriptor.digest), safe=':')}"
        self._request("PUT", url, _OCTETS, body).start(4096)

    def _request(self, method: str, url: str, headers: dict[str, str], body: Body | None) -> Response:
        try:
            response = self._endpoint.send_to(
                method, url, self._repository, headers=headers, body=body, patience=_PATIENCE
            )
        except ConnectionFailed as error:
            if error.transient and error.request.startswith(f"{method} "):
                raise BrokenUpload(error) from error
            raise  # the source's own failure, which has been tried again where it happened
        if not 200 <= response.status < 300:
            raise self._refusal(response)
        return response

    def _refusal(self, response: Response) -> Exception:
        asked = retry_after(response)
        error = self._endpoint.refusal(response, f"push {self._what} to {self._repository.name}", self._repository)
        lost = response.status == _LOST or (self._continued and "DIGEST_INVALID" in error.codes)
        if lost or response.status == _OUT_OF_ORDER or is_passing(response.status):
            return BrokenUpload(error, asked=asked, lost=lost)
        return error

    def _move(self, response: Response) -> None:
        """The next request goes where the last answer says, if it does."""
        if "location" in response.headers:
            self._url = self._endpoint.location(response)

    def _smaller(self, chunk: int | None) -> int | None:
        """The next smaller size of a chunk that makes sense here, None if there is none."""
        if self._shortest > _LONGEST_CHUNK:
            return None
        limit = chunk or self._size
        return next((size for size in _CHUNKS if size < limit and size >= self._shortest), None)

    @property
    def _what(self) -> str:
        return f"blob {self._blob.descriptor.digest}"


@dataclass(frozen=True, slots=True)
class _Rest:
    """A request's body: the blob from an offset on."""

    blob: Blob
    offset: int
    transferred: Transferred

    @property
    def size(self) -> int:
        return self.blob.descriptor.size - self.offset

    @contextmanager
    def open(self) -> Iterator[Readable]:
        with self.blob.source.open() as stream:
            left = self.offset
            while left and (skipped := stream.read(min(left, CHUNK))):
                left -= len(skipped)
            yield self.transferred.through(stream, self.offset)


def _exactly(stream: Readable, size: int) -> bytes:
    """`size` bytes, fewer only at the end of the stream; reading on there verifies what has come."""
    pieces, left = [], size
    while left and (piece := stream.read(min(left, CHUNK))):
        pieces.append(piece)
        left -= len(piece)
    return b"".join(pieces)


def _acknowledged(response: Response) -> int | None:
    """How many bytes a Range header says have arrived; None without one. Registries write ``0-0`` for none at all."""
    found = re.fullmatch(r"(?:bytes[= ])?0-(\d{1,18})", response.headers.get("range", "").strip())
    if found is None:
        return None
    last = int(found.group(1))
    return last + 1 if last else 0


def _number(text: str) -> int:
    return int(text) if re.fullmatch(r"\d{1,18}", text.strip()) else 0
