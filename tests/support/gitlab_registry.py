"""docker-registry as GitLab runs its Container Registry: tokens of GitLab's, nginx with a private CA's certificate."""

from __future__ import annotations

import contextlib
import http.client
import json
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support.certificates import Certificate, certificate
from support.nginx import nginx
from support.registry import LoopbackRegistry, free_port
from support.token_server import ISSUER, PASSWORD, SERVICE, USER, TokenServer


class TokenRegistry(LoopbackRegistry):
    """A registry that wants tokens of a server.

    Args:
        realm: where it sends clients for one.
        relative: whether its Locations are relative (``REGISTRY_HTTP_RELATIVEURLS``).
    """

    def __init__(self, tokens: TokenServer, realm: str, *, relative: bool = True) -> None:
        super().__init__(delete=True)
        self._tokens, self._realm, self._relative = tokens, realm, relative

    def get(self, path: str, accept: str = "*/*") -> tuple[bytes, http.client.HTTPMessage]:
        name = path.partition("/manifests/")[0].partition("/blobs/")[0].partition("/tags/")[0]
        scope = "registry:catalog:*" if path.startswith("_catalog") else f"repository:{name}:pull"
        owner = TokenServer(allowed={"test": {"": "pull,*"}}, key=self._tokens.key)
        headers = {"Accept": accept, "Authorization": f"Bearer {owner.token('test', scope)}"}
        request = urllib.request.Request(f"http://{self.host}/v2/{path}", headers=headers)
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=60) as answer:
            return answer.read(), answer.headers

    def _configuration(self) -> dict[str, Any]:
        configuration = super()._configuration()
        bundle = self.directory / "bundle.crt"
        self._tokens.write_bundle(bundle)
        configuration["auth"] = {
            "token": {"realm": self._realm, "service": SERVICE, "issuer": ISSUER, "rootcertbundle": str(bundle)}
        }
        configuration["http"]["relativeurls"] = self._relative
        return configuration


@dataclass(frozen=True, slots=True, kw_only=True)
class GitLab:
    """A GitLab as a build sees it.

    Attributes:
        host: of the Container Registry, by HTTPS.
        shown: the certificate of it and of the token endpoint.
        registry: what is behind nginx.
    """

    host: str
    shown: Certificate
    registry: TokenRegistry
    tokens: TokenServer

    def auth_config(self, user: str = USER, password: str = PASSWORD) -> str:
        """``DOCKER_AUTH_CONFIG`` of a job."""
        return json.dumps({"auths": {self.host: {"username": user, "password": password}}})

    def environment(self) -> dict[str, str]:
        """What a job knows: credentials, and the certificate of the CA."""
        return {"DOCKER_AUTH_CONFIG": self.auth_config(), "CI_SERVER_TLS_CA_FILE": str(self.shown.authority)}


@contextlib.contextmanager
def gitlab(directory: Path, tokens: TokenServer | None = None, body_size: str = "0") -> Iterator[GitLab]:
    """Run all of it; `directory` is for the certificates."""
    shown, port = certificate(directory), free_port()
    with tokens or TokenServer() as running:
        with TokenRegistry(running, f"https://127.0.0.1:{port}/jwt/auth") as registry:
            locations = {"/v2/": registry.port, "/jwt/": running.port}
            with nginx(locations, shown, body_size=body_size, port=port) as host:
                yield GitLab(host=host, shown=shown, registry=registry, tokens=running)
