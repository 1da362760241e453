"""What a layer cache is: results of instructions by key, in several places behind one protocol."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

from builder.digest import Digest
from builder.storage.blob import Blob

Work = Literal["run", "copy", "workdir"]
"""What kind of instruction has made a layer: RUN; COPY and ADD; WORKDIR."""


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
            registry. Its media type may be of either family.
        diff_id: of the layer.
        created: when it was built, seconds since the epoch.
        identity: what the keys of the following instructions are made from. Opaque: kept and given back as it is.
        below: the results that it was made upon. Opaque like `identity`; whoever looked it up uses it only upon the
            same ones.
        work: the kind of instruction.
        instruction: the instruction on one line, for people; without secrets.
        origin: where it was found, for the log: ``local cache``, or the reference of the entry.
    """

    blob: Blob
    diff_id: Digest
    created: int
    identity: str
    below: str
    work: Work
    instruction: str = ""
    origin: str = ""


class LayerCache(Protocol):
    """Results by key. Thread-safe. Whatever is wrong with a cache costs a warning, never the build.

    `lookup` and `store` do not raise BuilderError: an unreachable, unauthorised, corrupt or foreign cache is warned of
    once and then asked no more. `store` is atomic and idempotent: a later result for the same key takes the place of
    the earlier one, an equal one costs next to nothing, and somebody else's does no harm. The same result may be stored
    under more than one key.
    """

    @property
    def near(self) -> bool:
        """Whether it answers at once; those that are behind a network are asked ahead and side by side."""
        ...

    def accepts(self, work: Work) -> bool:
        """Whether results of this kind are looked up and stored here (``--cache-run-layers`` and the like)."""
        ...

    def lookup(self, key: CacheKey) -> CachedLayer | None:
        """The result, verified as far as that goes without reading it; None if there is none that is fresh."""
        ...

    def store(self, key: CacheKey, result: CachedLayer) -> None:
        """Keep a result. Its blob is readable when this is called. Called in the background, by several threads."""
        ...
