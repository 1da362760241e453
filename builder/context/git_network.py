"""git by the certificates and proxies that everything else goes by."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from builder.context.git import git_environment
from builder.registry.network import Network
from builder.storage.failure import explained

_BUNDLE = "certificate-authorities.pem"
_PROXY_VARIABLES = ("http_proxy", "https_proxy", "no_proxy")


@contextmanager
def git_surroundings(
    url: str, environment: Mapping[str, str], network: Network, directory: Path, *, insecure_skip_tls: bool = False
) -> Iterator[dict[str, str]]:
    """The environment to run git in, for as long as the block lasts.

    What the environment says about git itself (GIT_SSL_CAINFO, GIT_SSL_NO_VERIFY ...) stays as it is. A file that git
    needs is made in `directory`. Raises StorageError.
    """
    parts = urlsplit(url)
    by_http = parts.scheme in ("http", "https") and bool(parts.hostname)
    host = parts.netloc.rpartition("@")[2].lower()
    settings = _settings(url, network) if by_http else []
    result = git_environment(url, environment, insecure_skip_tls=insecure_skip_tls, settings=settings)
    result |= _proxies(environment)
    bundle = network.tls.bundle(host) if parts.scheme == "https" else []
    if not bundle or "GIT_SSL_CAINFO" in environment:
        yield result
        return
    with explained("write", directory), tempfile.TemporaryDirectory(prefix="git-", dir=directory) as made:
        file = Path(made, _BUNDLE)
        file.write_text("\n".join(bundle))
        yield result | {"GIT_SSL_CAINFO": str(file)}


def _settings(url: str, network: Network) -> list[tuple[str, str]]:
    """git's own settings, for the host of `url` alone; no proxy is an empty one."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    section = f"http.{urlunsplit((parts.scheme, host, '/', '', ''))}"
    settings = [(f"{section}.proxy", network.proxies.for_url(url) or "")] if network.proxies.any else []
    if not network.policy.verifies(host.lower(), "download"):
        settings.append((f"{section}.sslVerify", "false"))
    if client := network.tls.client_certificate(host.lower()):
        settings += [(f"{section}.sslCert", str(client[0])), (f"{section}.sslKey", str(client[1]))]
    return settings


def _proxies(environment: Mapping[str, str]) -> dict[str, str]:
    """For the hosts of submodules: git knows http_proxy in small letters alone."""
    upper = {name: environment.get(name.upper(), "") for name in _PROXY_VARIABLES if not environment.get(name)}
    return {name: value for name, value in upper.items() if value}
