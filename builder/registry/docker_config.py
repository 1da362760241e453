"""Docker's ``config.json``: the parts that concern credentials (docker CLI reference, "Configuration files")."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from builder.errors import BuilderError
from builder.image.reference import DEFAULT_REGISTRY, Reference
from builder.registry.credentials import Credentials

_DOCKER_HUB = ("docker.io", "index.docker.io", "registry-1.docker.io")
_MAX_BYTES = 4 * 1024 * 1024
TOKEN_USER = "<token>"


@dataclass(frozen=True, slots=True, kw_only=True)
class DockerConfig:
    """One config, from a file or a variable.

    Attributes:
        source: its name in messages.
        auths: entries by ``host[:port][/path]``.
        helpers: names of credential helpers by ``host[:port]``.
        store: the helper for all other hosts, "" if there is none.
    """

    source: str
    auths: Mapping[str, Mapping[str, Any]] = field(default_factory=dict, repr=False)
    helpers: Mapping[str, str] = field(default_factory=dict)
    store: str = ""

    def credentials(self, reference: Reference, *, paths: bool) -> Credentials | None:
        """The entry with the longest path that covers `reference`, or with `paths` false that of the whole registry.

        Raises BuilderError if it is damaged.
        """
        *longer, registry = _prefixes(reference)
        for key in longer if paths else [registry]:
            entry = self.auths.get(key)
            if entry is not None and (found := _credentials(entry, key, self.source)):
                return found
        return None

    def helper(self, registry: str) -> str | None:
        """The helper that is named for this registry itself."""
        return self.helpers.get(normalised_key(registry))


def load_config(path: Path) -> DockerConfig | None:
    """The config at `path`, None if there is none. Raises BuilderError, which never shows the content."""
    try:
        with open(path, "rb") as stream:
            data = stream.read(_MAX_BYTES + 1)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise BuilderError(f"cannot read {path}: {error.strerror}") from error
    if len(data) > _MAX_BYTES:
        raise BuilderError(f"{path} is larger than {_MAX_BYTES} bytes")
    return parse_config(data, str(path))


def parse_config(data: bytes | str, source: str) -> DockerConfig:
    """Raises BuilderError if `data` is not valid; it names the place and never shows the content."""
    try:
        document = _document(data)
    except RecursionError:
        raise BuilderError(f"{source} is not valid JSON: it is nested too deeply") from None
    except json.JSONDecodeError as error:
        message = f"{source} is not valid JSON: {error.msg} in line {error.lineno}"
        raise BuilderError(message, hint=_hint(data)) from None
    except ValueError:
        raise BuilderError(f"{source} is not valid JSON: it is not UTF-8") from None
    auths, helpers = _object(document, "auths", source), _object(document, "credHelpers", source)
    return DockerConfig(
        source=source,
        auths={normalised_key(key): entry for key, entry in auths.items() if isinstance(entry, dict)},
        helpers={normalised_key(key): str(name) for key, name in helpers.items() if name},
        store=str(document.get("credsStore") or ""),
    )


def _document(data: bytes | str) -> Any:
    """What is in `data`; in an empty file there is nothing, and nothing is wrong with it (as with ``docker``)."""
    data = data.removeprefix("\ufeff") if isinstance(data, str) else data
    found = json.loads(data) if data.strip() else None
    return {} if found is None else found


def _hint(data: bytes | str) -> str | None:
    """What may have been meant by a variable's value that is no JSON: GitLab gives a variable's content as a file."""
    if isinstance(data, str) and data.startswith("/"):
        return "it has to hold the content of a config.json, not a path (in GitLab: the type Variable, not File)"
    return None


def normalised_key(key: str) -> str:
    """``host[:port][/path]`` as it is compared: no scheme, API version or default port; Docker Hub by one name."""
    key = re.sub("^https?://", "", key.strip(), flags=re.IGNORECASE).rstrip("/")
    for version in ("/v1", "/v2"):
        key = key.removesuffix(version)
    host, slash, path = key.partition("/")
    host = host.lower().removesuffix(":443")
    return (DEFAULT_REGISTRY if host in _DOCKER_HUB else host) + slash + path


def _prefixes(reference: Reference) -> Iterator[str]:
    parts = normalised_key(reference.registry), *reference.repository.split("/")
    for length in range(len(parts), 0, -1):
        yield "/".join(parts[:length])


def _object(document: Any, key: str, source: str) -> dict[str, Any]:
    value = (document.get(key) or {}) if isinstance(document, dict) else None
    if not isinstance(value, dict):
        raise BuilderError(f"{source} is not valid: {key} is not an object")
    return value


def _credentials(entry: Mapping[str, Any], key: str, source: str) -> Credentials | None:
    """None for an empty entry, which `docker login` leaves where the secret is in a credential store."""
    username, password = str(entry.get("username") or ""), str(entry.get("password") or "")
    if entry.get("auth"):
        username, password = _decoded(str(entry["auth"]), key, source)
    identity = str(entry.get("identitytoken") or "")
    if username == TOKEN_USER:
        username, password, identity = "", "", identity or password
    found = Credentials(
        username=username,
        password=password,
        identity_token=identity,
        registry_token=str(entry.get("registrytoken") or ""),
        source=f"{source} ({key})",
    )
    return found if found.secrets else None


def _decoded(auth: str, key: str, source: str) -> tuple[str, str]:
    text = "".join(auth.split()).rstrip("=")  # the program `base64` breaks lines, and others leave the end out
    try:
        pair = base64.b64decode(text + "=" * (-len(text) % 4), validate=True).decode()
    except (binascii.Error, ValueError):
        raise BuilderError(f"the auth of {key} in {source} is not base64") from None
    username, colon, password = pair.partition(":")
    if not colon:
        raise BuilderError(f"the auth of {key} in {source} is not user:password in base64")
    return username, password.strip("\x00")
