"""What the docker CLI's config.json says besides credentials: proxies for builds."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

from builder.errors import UsageError

_VARIABLES = {
    "httpProxy": "HTTP_PROXY",
    "httpsProxy": "HTTPS_PROXY",
    "noProxy": "NO_PROXY",
    "ftpProxy": "FTP_PROXY",
    "allProxy": "ALL_PROXY",
}


def config_file(environment: Mapping[str, str]) -> Path | None:
    """``$DOCKER_CONFIG/config.json``, else ``~/.docker``, else ``/kaniko/.docker``; None if there is none."""
    configured = environment.get("DOCKER_CONFIG")
    directories = [configured] if configured else [os.path.expanduser("~/.docker"), "/kaniko/.docker"]
    paths = (Path(directory) / "config.json" for directory in directories)
    return next((path for path in paths if path.is_file()), None)


def proxy_build_args(environment: Mapping[str, str]) -> dict[str, str]:
    """Build args from ``proxies.default`` of config.json, upper and lower case, as the docker CLI makes them.

    Raises UsageError for a config.json that cannot be read.
    """
    path = config_file(environment)
    proxies = _proxies(path) if path else {}
    found = {variable: proxies.get(key) for key, variable in _VARIABLES.items()}
    upper = {name: value for name, value in found.items() if isinstance(value, str) and value}
    return upper | {name.lower(): value for name, value in upper.items()}


def _proxies(path: Path) -> Mapping[str, object]:
    try:
        document = json.loads(path.read_bytes() or b"{}")
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from None
    except (ValueError, RecursionError):
        raise UsageError(f"{path} is not JSON") from None
    proxies = document.get("proxies") if isinstance(document, dict) else None
    default = proxies.get("default") if isinstance(proxies, dict) else None
    return default if isinstance(default, dict) else {}
