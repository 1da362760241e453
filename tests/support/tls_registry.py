"""The loopback registry by HTTPS, with a certificate that nobody knows."""

from __future__ import annotations

import http.client
import ssl
import urllib.request
from typing import Any

from support.certificates import Certificate
from support.registry import LoopbackRegistry


class TlsRegistry(LoopbackRegistry):
    """As LoopbackRegistry.

    Args:
        htpasswd: ask for basic authentication.
        client: a certificate whose authority clients have to have theirs from, and which reads of the tests show.
    """

    def __init__(self, shown: Certificate, *, htpasswd: bool = False, client: Certificate | None = None) -> None:
        super().__init__(htpasswd=htpasswd)
        self._shown, self._client = shown, client

    def get(self, path: str, accept: str = "*/*") -> tuple[bytes, http.client.HTTPMessage]:
        context = ssl.create_default_context(cafile=str(self._shown.authority))
        if self._client:
            context.load_cert_chain(self._client.file, self._client.key)
        request = urllib.request.Request(f"https://{self.host}/v2/{path}", headers={"Accept": accept} | self.login())
        with urllib.request.urlopen(request, timeout=60, context=context) as answer:
            return answer.read(), answer.headers

    def _configuration(self) -> dict[str, Any]:
        configuration = super()._configuration()
        configuration["http"]["tls"] = {"certificate": str(self._shown.file), "key": str(self._shown.key)}
        if self._client:
            configuration["http"]["tls"]["clientcas"] = [str(self._client.authority)]
        return configuration
