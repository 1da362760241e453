"""A single file behind a URL, for ADD."""

from __future__ import annotations

import hashlib
import posixpath
import secrets
import time
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from builder.context.http import reason
from builder.context.spec import without_password
from builder.digest import Digest
from builder.errors import ContextError, DigestMismatch
from builder.storage.failure import explained

_TIMEOUT = (15, 60)
_ATTEMPTS = 3
_UNNAMED = "__unnamed__"


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteFile:
    """What was downloaded.

    Attributes:
        path: where it is on disk.
        name: the last part of the URL's path.
        size: bytes.
        mtime: seconds since the epoch: of Last-Modified, else 0, as BuildKit has it.
    """

    path: Path
    name: str
    size: int
    mtime: int


def fetch(url: str, directory: Path, checksum: Digest | None = None) -> RemoteFile:
    """Download `url` into a new file in `directory`; connections that break are tried again.

    Raises:
        ContextError: it cannot be had.
        DigestMismatch: it is not what `checksum` says.
    """
    for attempt in range(_ATTEMPTS):
        try:
            return _fetch(url, directory, checksum)
        except _Broken as error:
            if attempt == _ATTEMPTS - 1:
                raise ContextError(f"cannot fetch {without_password(url)}: {error}") from None
            time.sleep(0.5 * 2**attempt)
    raise AssertionError


class _Broken(Exception):
    """A fault that another attempt may not have."""


def _fetch(url: str, directory: Path, checksum: Digest | None) -> RemoteFile:
    import requests

    shown = without_password(url)
    try:
        # The bytes are wanted as they are: Accept-Encoding would have a server compress what is then not undone.
        with requests.get(url, stream=True, timeout=_TIMEOUT, headers={"Accept-Encoding": "identity"}) as response:
            if response.status_code >= 500:
                raise _Broken(f"{shown} answered {response.status_code} {response.reason}")
            if response.status_code != 200:
                raise ContextError(f"{shown} answered {response.status_code} {response.reason}")
            path = directory / secrets.token_hex(12)
            size = _save(response, path, checksum, shown)
            mtime = _last_modified(response.headers.get("Last-Modified"))
            return RemoteFile(path=path, name=_name(url), size=size, mtime=mtime)
    except requests.RequestException as error:
        raise _Broken(reason(error)) from None


def _save(response: Any, path: Path, checksum: Digest | None, shown: str) -> int:
    digest = hashlib.new(checksum.algorithm) if checksum else None
    size = 0
    expected = response.headers.get("Content-Length")
    with explained("write", path), open(path, "xb") as file:
        while chunk := response.raw.read(1 << 20):
            size += len(chunk)
            if digest:
                digest.update(chunk)
            file.write(chunk)
    if expected is not None and expected.isdigit() and int(expected) != size:
        raise _Broken(f"{size} of {expected} bytes came")
    if digest and checksum and digest.hexdigest() != checksum.hex:
        raise DigestMismatch(f"{shown} is {checksum.algorithm}:{digest.hexdigest()}, not {checksum}")
    return size


def _name(url: str) -> str:
    return posixpath.basename(unquote(urlsplit(url).path).rstrip("/")) or _UNNAMED


def _last_modified(value: str | None) -> int:
    try:
        return int(parsedate_to_datetime(value).timestamp()) if value else 0
    except ValueError:
        return 0
