"""Contexts and Dockerfiles behind a URL."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from builder.context.spec import without_password
from builder.digest import Readable
from builder.errors import ContextError

_TIMEOUT = (15, 60)


@contextmanager
def download(url: str) -> Iterator[Readable]:
    """The body of `url`, content encodings undone. Raises ContextError."""
    import requests

    shown = without_password(url)
    try:
        with requests.get(url, stream=True, timeout=_TIMEOUT) as response:
            if response.status_code != 200:
                raise ContextError(f"{shown} answered {response.status_code} {response.reason}")
            yield _Body(response.iter_content(1 << 20))
    except requests.RequestException as error:
        raise ContextError(f"cannot fetch {shown}: {reason(error)}") from None


def reason(error: Exception) -> str:
    """What went wrong, without the URL that the library's text repeats."""
    while error.__context__ is not None and isinstance(error.__context__, Exception):
        error = error.__context__
    return getattr(error, "strerror", None) or type(error).__name__


class _Body:
    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._pending = b""

    def read(self, size: int = -1, /) -> bytes:
        if size < 0:
            return self._pending + b"".join(self._chunks)
        if not self._pending:
            self._pending = next(self._chunks, b"")
        chunk, self._pending = self._pending[:size], self._pending[size:]
        return chunk
