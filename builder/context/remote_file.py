"""A single file behind a URL, for ADD."""

from __future__ import annotations

import hashlib
import posixpath
import secrets
import time
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from builder.context.http import Unreachable, get, reached, refusal_hint, status_text
from builder.context.spec import without_password
from builder.digest import Digest
from builder.errors import ContextError, DigestMismatch
from builder.registry.network import Network
from builder.storage.failure import explained

if TYPE_CHECKING:
    from builder.registry.exchange import Response

_CHUNK = 1 << 20
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


def fetch(url: str, directory: Path, network: Network, checksum: Digest | None = None) -> RemoteFile:
    """Download `url` into a new file in `directory`; connections that break are tried again.

    Raises:
        ContextError: it cannot be had.
        DigestMismatch: it is not what `checksum` says.
    """
    for attempt in range(_ATTEMPTS):
        try:
            return _fetch(url, directory, network, checksum)
        except Unreachable as error:
            if attempt == _ATTEMPTS - 1 or not error.transient:
                raise ContextError(f"cannot fetch {without_password(url)}: {error.message}", hint=error.hint) from None
            time.sleep(0.5 * 2**attempt)
    raise AssertionError


def _fetch(url: str, directory: Path, network: Network, checksum: Digest | None) -> RemoteFile:
    shown = without_password(url)
    with get(url, network) as response:
        if response.status >= 500:
            raise Unreachable(f"{shown} answered {status_text(response)}", hint=None, transient=True)
        if response.status != 200:
            raise ContextError(f"{shown} answered {status_text(response)}", hint=refusal_hint(response, network))
        path = directory / secrets.token_hex(12)
        size = _save(response, path, checksum, shown)
        mtime = _last_modified(response.headers.get("last-modified"))
        return RemoteFile(path=path, name=_name(url), size=size, mtime=mtime)


def _save(response: Response, path: Path, checksum: Digest | None, shown: str) -> int:
    digest = hashlib.new(checksum.algorithm) if checksum else None
    size = 0
    expected = response.headers.get("content-length", "")
    with explained("write", path), open(path, "xb") as file:
        while chunk := _read(response):
            size += len(chunk)
            if digest:
                digest.update(chunk)
            file.write(chunk)
    if expected.isdigit() and int(expected) != size:
        raise Unreachable(f"{size} of {expected} bytes came", hint=None, transient=True)
    if digest and checksum and digest.hexdigest() != checksum.hex:
        raise DigestMismatch(f"{shown} is {checksum.algorithm}:{digest.hexdigest()}, not {checksum}")
    return size


def _read(response: Response) -> bytes:
    with reached():
        return response.read(_CHUNK)


def _name(url: str) -> str:
    return posixpath.basename(unquote(urlsplit(url).path).rstrip("/")) or _UNNAMED


def _last_modified(value: str | None) -> int:
    try:
        return int(parsedate_to_datetime(value).timestamp()) if value else 0
    except ValueError:
        return 0
