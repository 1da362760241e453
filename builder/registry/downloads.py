"""Blobs from a registry, streamed, verified, and resumed where the connection broke off."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from builder.digest import Digest, Readable, VerifyingReader
from builder.errors import BuilderError, DigestMismatch
from builder.image.descriptor import Descriptor
from builder.image.reference import Reference
from builder.progress import log
from builder.registry.blob_sources import BlobPlace
from builder.registry.endpoint import Endpoint
from builder.registry.errors import ConnectionFailed, RegistryError
from builder.registry.exchange import Response
from builder.registry.transfer import Transferred

_CHUNK = 1 << 20
_SMALL = 64 * 1024
# bytes between two failures after which going on is worthwhile, however many failures there were
_WORTHWHILE = 64 * 1024


def blob_exists(endpoint: Endpoint, repository: Reference, digest: Digest) -> bool:
    """Ask without downloading (distribution-spec, "Checking if content exists in the registry")."""
    response = endpoint.send("HEAD", f"blobs/{digest}", repository)
    with response:
        if response.status in (200, 404):
            return response.status == 200
        raise endpoint.refusal(response, f"look for blob {digest} in {repository.name}", repository)


class Download:
    """A blob that is coming in; `stream` is verified. Close it when done.

    Args:
        places: where it is looked for, in this order; where one fails for good, the next goes on.

    Raises RegistryError if none of them gives it.
    """

    def __init__(self, endpoint: Endpoint, places: Sequence[BlobPlace], descriptor: Descriptor) -> None:
        self._resuming = _ResumingReader(endpoint, places, descriptor)
        self._transferred = Transferred(endpoint.progress, "pull", descriptor.digest, descriptor.size)
        counted = self._transferred.through(self._resuming)
        self.stream: Readable = VerifyingReader(counted, descriptor.digest, descriptor.size, self._resuming.what)

    @contextmanager
    def opened(self) -> Iterator[Readable]:
        """The stream, for a ``with`` block that reads it."""
        try:
            yield self.stream
            if self._transferred.complete:
                self._transferred.finish()
        finally:
            self._resuming.close()


class _ResumingReader:
    """The bytes of a blob; after a failure they go on where they stopped, a bounded number of times."""

    def __init__(self, endpoint: Endpoint, places: Sequence[BlobPlace], descriptor: Descriptor) -> None:
        self._endpoint, self._descriptor = endpoint, descriptor
        self._place, *self._others = places
        self._offset = 0
        self._failures = 0
        self._failed_at = 0
        self._response = self._open()

    @property
    def what(self) -> str:
        """What is read, and where, for messages."""
        return self._place.what

    def read(self, size: int = -1, /) -> bytes:
        if size < 0:
            return b"".join(iter(lambda: self.read(_CHUNK), b""))
        self._endpoint.pauses.check()
        while True:
            try:
                # after a failure in small pieces: what a piece has got when the connection breaks off is lost
                chunk = self._response.read(min(size, _SMALL) if self._failures else size)
                if not chunk and size and self._offset < self._descriptor.size:
                    raise self._cut_off()
            except ConnectionFailed as error:
                self._resume(error)
                continue
            self._offset += len(chunk)
            return chunk

    def close(self) -> None:
        self._response.close()

    def _cut_off(self) -> ConnectionFailed:
        where = f"{self._offset} of {self._descriptor.size} bytes"
        host = self._place.host
        text = f"{host} ended blob {self._descriptor.digest} after {where}"
        return ConnectionFailed(text, kind="broken", host=host, request=str(self._response.request))

    def _resume(self, error: ConnectionFailed) -> None:
        self._response.close()
        self._endpoint.pauses.check()
        if self._offset - self._failed_at >= _WORTHWHILE:
            self._failures = 0
        self._failures, self._failed_at = self._failures + 1, self._offset
        if not error.transient or self._failures >= self._endpoint.attempts:
            self._next(error)
            self._failures = 1
        else:
            self._endpoint.pauses.wait(self._failures)
        self._response = self._open()

    def _open(self) -> Response:
        while True:
            try:
                return self._ask()
            except (RegistryError, DigestMismatch) as error:
                self._next(error)

    def _next(self, error: BuilderError) -> None:
        """Go to the next place, or raise `error` if there is none."""
        self._endpoint.pauses.check()
        if not self._others:
            raise error
        log(self._endpoint.progress, "warning", f"{error.message}; trying the next place")
        self._place, *self._others = self._others

    def _ask(self) -> Response:
        """Ask for what is missing; a server that ignores the range sends all, and what is known is skipped."""
        response = self._place.get({"Range": f"bytes={self._offset}-"} if self._offset else {})
        if response.status == 200:
            self._check_length(response, self._descriptor.size)
            return self._skipped(response)
        if response.status == 206 and self._offset and _range_start(response) == self._offset:
            self._check_length(response, self._descriptor.size - self._offset)
            return response
        if response.status == 206:
            response.close()
            host = self._place.host
            raise RegistryError(f"{host} sent another range than it was asked for ({response.request})", host=host)
        raise self._place.refusal(response)

    def _check_length(self, response: Response, expected: int) -> None:
        length = response.headers.get("content-length", "")
        if length.isdigit() and int(length) != expected:
            response.close()
            raise DigestMismatch(
                f"{self._place.what} has the wrong size: {length} bytes come where {expected} were expected"
            )

    def _skipped(self, response: Response) -> Response:
        left = self._offset
        while left and (chunk := response.read(min(left, _CHUNK))):
            left -= len(chunk)
        return response


def _range_start(response: Response) -> int | None:
    found = re.match(r"bytes (\d+)-", response.headers.get("content-range", ""))
    return int(found.group(1)) if found else None
