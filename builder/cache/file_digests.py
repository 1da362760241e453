"""Digests of files, remembered from build to build by what lstat says, so that an unchanged file is not read again."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
from pathlib import Path
from typing import BinaryIO

from builder.errors import BuilderError, ContextError
from builder.layer.entry import FileContent
from builder.storage.atomic import write_atomically

_CHUNK = 1 << 20
_VERSION = 1
_RACY_NS = 2_000_000_000
"""A file that was touched so shortly before it was read may be changed again without another time: FAT counts so."""
_MOST_SPARE = 1000

Signature = tuple[int, int, int, int, int]
"""Size, mtime and ctime in nanoseconds, inode, device."""


class FileDigests:
    """The digests of files of one directory, kept in the file `kept`. Not thread-safe.

    Whatever is wrong with `kept` costs time, nothing else.

    Args:
        kept: None to remember nothing beyond the life of this object.
    """

    def __init__(self, kept: Path | None = None) -> None:
        self._kept = kept
        self._known: dict[str, tuple[Signature, str]] | None = None if kept else {}
        self._used: dict[str, tuple[Signature, str]] = {}
        self._changed = False

    def digest(self, path: str) -> str:
        """The SHA-256 of the file at `path`, hexadecimal. Raises ContextError if it cannot be read."""
        try:
            found = _signature(os.lstat(path))
            known = self._used.get(path) or self._load().get(path)
            found, digest = known if known and known[0] == found else self._read(path)
        except OSError as error:
            raise ContextError(f"cannot read {path}: {error.strerror}") from None
        self._used[path] = found, digest
        return digest

    def unchanged(self, path: str) -> bool:
        """Whether the file is as it was when its digest was last asked for, as far as lstat can tell."""
        try:
            return self._used[path][0] == _signature(os.lstat(path))
        except (KeyError, OSError):
            return False

    def save(self) -> None:
        """Keep what is new for later builds. Files that were touched only a moment ago are left out."""
        if self._kept is None or not self._changed:
            return
        now = time.time_ns()
        known = self._load()
        rows = dict(self._used)
        if len(known) <= 2 * len(rows) + _MOST_SPARE:  # files of other Dockerfiles in the same context
            rows = known | rows
        lines = {
            path: [*signature, digest]
            for path, (signature, digest) in rows.items()
            if max(signature[1], signature[2]) < now - _RACY_NS
        }
        with contextlib.suppress(BuilderError, OSError, ValueError):
            self._kept.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(self._kept, json.dumps({"version": _VERSION, "files": lines}).encode())
        self._changed = False

    def _read(self, path: str) -> tuple[Signature, str]:
        self._changed = True
        with FileContent(path).open() as stream:
            before = _signature(os.fstat(stream.fileno()))
            digest = _sha256(stream)
            after = _signature(os.fstat(stream.fileno()))
        if before != after:
            raise ContextError(
                f"{path} changed while it was read", hint="let nothing write to the context during a build"
            )
        return after, digest

    def _load(self) -> dict[str, tuple[Signature, str]]:
        if self._known is None:
            self._known = {}
            with contextlib.suppress(OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
                assert self._kept is not None
                document = json.loads(self._kept.read_bytes())
                if document["version"] == _VERSION:
                    rows = document["files"].items()
                    self._known = {path: ((*map(int, row[:5]),), str(row[5])) for path, row in rows}  # type: ignore[misc]
        return self._known


def _signature(status: os.stat_result) -> Signature:
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino, status.st_dev


def _sha256(stream: BinaryIO) -> str:
    found = hashlib.sha256()
    while chunk := stream.read(_CHUNK):
        found.update(chunk)
    return found.hexdigest()
