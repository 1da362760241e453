"""Content digests and readers that verify them (OCI image-spec, descriptor.md, "Digests")."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import Protocol

from builder.errors import DigestMismatch, InvalidReference

_LENGTHS = {"sha256": 64, "sha512": 128}
_FORM = re.compile(r"[a-z0-9]+(?:[+._-][a-z0-9]+)*:[a-zA-Z0-9=_-]+")


@dataclass(frozen=True, slots=True, order=True)
class Digest:
    """A digest such as ``sha256:<64 hexadecimal digits>``; `str()` gives that text."""

    algorithm: str
    hex: str

    @classmethod
    def parse(cls, text: str) -> Digest:
        """Raises InvalidReference unless `text` is a well-formed sha256 or sha512 digest."""
        algorithm, _, value = text.partition(":")
        if not _FORM.fullmatch(text) or algorithm not in _LENGTHS:
            raise InvalidReference(f"invalid digest {text!r}", hint="a digest is sha256:<64 hexadecimal digits>")
        if len(value) != _LENGTHS[algorithm] or not re.fullmatch("[a-f0-9]+", value):
            raise InvalidReference(
                f"invalid digest {text!r}: {_LENGTHS[algorithm]} lower-case hexadecimal digits expected"
            )
        return cls(algorithm, value)

    @classmethod
    def of(cls, data: bytes) -> Digest:
        """The sha256 digest of `data`."""
        return cls("sha256", hashlib.sha256(data).hexdigest())

    def __str__(self) -> str:
        return f"{self.algorithm}:{self.hex}"


class Readable(Protocol):
    """What the streaming code needs of a binary stream; ``read()`` returns b"" at the end and only there."""

    def read(self, size: int = -1, /) -> bytes: ...


class VerifyingReader:
    """Reads through to another stream and checks size and digest when the end is reached.

    The last read raises DigestMismatch if they do not fit, as does the first byte beyond `size`; a caller that stops
    before the end has verified nothing. Does not close the stream below.

    Args:
        stream: where the bytes come from.
        digest: what they must hash to.
        size: how many there must be, or None if that is not known.
        what: what the message calls the content, e.g. ``blob sha256:... of host/repository``.
    """

    def __init__(self, stream: Readable, digest: Digest, size: int | None, what: str) -> None:
        self._stream, self._digest, self._size, self._what = stream, digest, size, what
        self._hash = hashlib.new(digest.algorithm)
        self._seen = 0

    def read(self, size: int = -1, /) -> bytes:
        chunk = self._stream.read(size)
        self._seen += len(chunk)
        if self._size is not None and self._seen > self._size:
            raise DigestMismatch(f"{self._what} is longer than the {self._size} bytes it should have")
        self._hash.update(chunk)
        if (not chunk and size != 0) or size < 0:
            self._verify()
        return chunk

    def _verify(self) -> None:
        if self._size is not None and self._seen != self._size:
            raise DigestMismatch(f"{self._what} ends after {self._seen} of {self._size} bytes")
        found = self._hash.hexdigest()
        if found != self._digest.hex:
            raise DigestMismatch(f"{self._what} has the wrong content: its digest is {self._digest.algorithm}:{found}")
