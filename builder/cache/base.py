"""What a layer cache is: results of instructions by key, in several places behind one protocol."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from builder.digest import Digest
from builder.storage.blob import Blob


@dataclass(frozen=True, slots=True)
class CacheKey:
    """The name of a result: 64 lower-case hexadecimal digits (SHA-256). It tells nothing of what went into it."""

    hex: str

    def __str__(self) -> str:
        return self.hex


@dataclass(frozen=True, slots=True, kw_only=True)
class CachedLayer:
    """What an instruction has made of the files.

    Attributes:
        blob: the packed layer, readable, with the repository it can be mounted from as its origin where it is in a
            registry; None if the instruction changed no file and made no layer.
        diff_id: of the layer; None without one.
        created: when it was built, seconds since the epoch.
        origin: where it was found, for the log: ``local cache``, or the reference of the entry.
    """

    blob: Blob | None
    diff_id: Digest | None
    created: int
    origin: str


class LayerCache(Protocol):
    """Results by key. Thread-safe. Whatever is wrong with a cache costs a warning, never the build.

    `lookup` and `store` do not raise BuilderError: an unreachable, unauthorised, corrupt or foreign cache is warned of
    once and then asked no more. `store` is atomic and idempotent: somebody else's equal entry does no harm.
    """

    def lookup(self, key: CacheKey) -> CachedLayer | None:
        """The result, verified as far as that goes without reading it; None if there is none that is fresh."""
        ...

    def store(self, key: CacheKey, result: CachedLayer) -> None:
        """Keep a result. Its blob is readable when this is called."""
        ...
