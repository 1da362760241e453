"""A cached layer that turns out to be of no use once it is read: told as what it is, so that it can be built again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from builder.cache.base import CachedLayer
from builder.digest import Readable
from builder.errors import BuilderError, Interrupted, UnusableLayer
from builder.registry.errors import Cancelled
from builder.storage.blob import BlobSource


def guarded(found: CachedLayer) -> CachedLayer:
    """The same result, whose blob raises UnusableLayer for whatever goes wrong with it.

    Its diff_id, which so far is only what the cache says, is verified when it is unpacked.
    """
    source = _Guarded(found.blob.source, found.origin)
    return replace(found, blob=replace(found.blob, source=source, diff_id=found.diff_id))


@dataclass(frozen=True, slots=True)
class _Guarded:
    """A BlobSource of a cached layer; `origin` is what messages call it."""

    source: BlobSource
    origin: str

    @contextmanager
    def open(self) -> Iterator[Readable]:
        opened = self.source.open()
        with _explained(self.origin):
            stream = opened.__enter__()
        try:
            yield _Reader(stream, self.origin)
        finally:
            opened.__exit__(None, None, None)


@dataclass(frozen=True, slots=True)
class _Reader:
    stream: Readable
    origin: str

    def read(self, size: int = -1, /) -> bytes:
        with _explained(self.origin):
            return self.stream.read(size)


@contextmanager
def _explained(origin: str) -> Iterator[None]:
    try:
        yield
    except (Cancelled, Interrupted, UnusableLayer):
        raise
    except BuilderError as error:
        raise UnusableLayer(f"the cached layer {origin} is of no use: {error.message}") from error
