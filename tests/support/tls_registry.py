"""The loopback registry by HTTPS, with a certificate that nobody knows."""

from __future__ import annotations

import http.client
import ssl
import urllib.request
from typing import Any

from support.certificates import Certificate
from support.registry import LoopbackRegistry


class TlsRegistry(LoopbackRegistry):
    """As LoopbackRegistry, without authentication."""

    def __init__(self, shown: Certificate) -> None:
        super().__init__()
        self._shown = shown

    def get(self, path: str, accept: str = "*/*") -> tuple[bytes, http.client.HTTPMessage]:
        context = ssl.create_default_context(cafile=str(self._shown.authority))
        request = urllib.request.Request(f"https://{self.host}/v2/{path}", headers={"Accept": accept})
        with urllib.request.urlopen(request, timeout=60, context=context) as answer:
            return answer.read(), answer.headers

    def _configuration(self) -> dict[str, Any]:
        configuration = super()._configuration()
        configuration["http"]["tls"] = {"certificate": str(self._shown.file), "key": str(self._shown.key)}
        return configuration
