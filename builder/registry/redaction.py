"""Keeping secrets out of what is shown: URLs without their credentials and signatures, texts without known secrets."""

from __future__ import annotations

import threading
from urllib.parse import urlsplit, urlunsplit

HIDDEN = "[hidden]"
_SHORTEST = 4


def shown_url(url: str) -> str:
    """`url` without user, password, query and fragment: signatures and the state of uploads are in the query."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return HIDDEN
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


class Redaction:
    """The secrets that this process has used. Thread-safe."""

    def __init__(self) -> None:
        self._secrets: set[str] = set()
        self._lock = threading.Lock()

    def hide(self, *secrets: str) -> None:
        """Remember secrets; those too short to be told from ordinary text are not."""
        with self._lock:
            self._secrets.update(secret for secret in secrets if len(secret) >= _SHORTEST)

    def clean(self, text: str) -> str:
        """`text`, which a server wrote, without any secret that is known."""
        with self._lock:
            secrets = sorted(self._secrets, key=len, reverse=True)
        for secret in secrets:
            text = text.replace(secret, HIDDEN)
        return text
