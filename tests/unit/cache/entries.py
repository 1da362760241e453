"""Results to be cached, and what a cache says while it is used."""

from __future__ import annotations

import gzip
import time
from collections.abc import Callable

from builder.cache.base import CachedLayer, CacheKey
from builder.digest import Digest
from builder.image.descriptor import Descriptor
from builder.image.media_types import Family
from builder.progress import Message, Recorded
from builder.storage.blob import Blob, MemoryBlob

KEY, OTHER = CacheKey("ab" * 32), CacheKey("cd" * 32)
WORKS = {"run", "copy", "workdir"}
NOW = 1_700_000_000


def result(content: bytes = b"a tar", *, created: int = NOW, family: Family = Family.OCI) -> CachedLayer:
    data = gzip.compress(content, mtime=0)
    descriptor = Descriptor.of(family.layer("gzip"), data)
    return CachedLayer(
        blob=Blob(descriptor=descriptor, source=MemoryBlob(data)),
        diff_id=Digest.of(content),
        created=created,
        identity="1" * 64,
        below="2" * 64,
        work="run",
        instruction="RUN make all",
    )


def content(found: CachedLayer | None) -> bytes:
    """The layer's bytes, read to their end."""
    assert found is not None
    with found.blob.source.open() as stream:
        return gzip.decompress(b"".join(iter(lambda: stream.read(1024), b"")))


def warnings(progress: Recorded) -> list[str]:
    return [event.text for event in progress.events if isinstance(event, Message) and event.level == "warning"]


def at(seconds: float = NOW) -> Callable[[], float]:
    return lambda: seconds


def eventually(condition: Callable[[], bool], seconds: float = 20) -> None:
    """Wait until `condition` holds; AssertionError if it does not."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never came to pass"
        time.sleep(0.005)
