"""Writing Docker's ``config.json``: everything that is in it stays, but for one entry."""

from __future__ import annotations

import base64
import errno
import json
import os
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from builder.image.reference import DEFAULT_REGISTRY
from builder.registry.credential_helper import program_of, tell_helper
from builder.registry.docker_config import normalised_key, parse_config
from builder.registry.keychain import server_of
from builder.storage.failure import explained, storage_error
from builder.storage.locks import exclusive


def store_credentials(file: Path, key: str, username: str, password: str, environment: Mapping[str, str]) -> str:
    """Keep credentials for ``host[:port][/path]``, where the config says: in a helper, else in `file` itself.

    Returns where they are, for people. A path's are always in the file, since helpers know only hosts. Raises
    BuilderError if the file or the helper cannot be used; the file is then as it was.
    """
    with explained("write", file.parent):
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with exclusive(file.parent):
        document = _read(file)
        config = parse_config(json.dumps(document), str(file))
        registry, slash, _ = key.partition("/")
        helper = "" if slash else config.helper(registry) or config.store
        auths = _without(document.get("auths") or {}, key)
        if helper:
            tell_helper(helper, server_of(registry), username, password, environment)
            _write(file, document | {"auths": auths | {server_of(registry): {}}})
            return program_of(helper)
        pair = base64.b64encode(f"{username}:{password}".encode()).decode()
        _write(file, document | {"auths": auths | {_name(key): {"auth": pair}}})
        return str(file)


def _name(key: str) -> str:
    """The key as other programs write it."""
    registry, slash, path = key.partition("/")
    if not slash:
        return server_of(registry)
    return f"{'docker.io' if registry == DEFAULT_REGISTRY else registry}/{path}"


def _without(auths: Mapping[str, Any], key: str) -> dict[str, Any]:
    """The entries but for those that mean the same as `key`: one of them would be in the way of the new one."""
    return {name: entry for name, entry in auths.items() if normalised_key(name) != key}


def _read(file: Path) -> dict[str, Any]:
    try:
        data = file.read_bytes()
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise storage_error("read", file, error) from None
    if not data.strip():
        return {}
    parse_config(data, str(file))
    document: dict[str, Any] = json.loads(data)
    return document


def _write(file: Path, document: Mapping[str, Any]) -> None:
    """Replace the file in one step, readable for its owner alone; a symlink stays, and what it leads to is replaced."""
    target = Path(os.path.realpath(file))
    data = (json.dumps(document, indent="\t") + "\n").encode()
    with explained("write", target):
        descriptor, name = tempfile.mkstemp(prefix=".config-", dir=target.parent)  # made with mode 0600
        try:
            with open(descriptor, "wb") as stream:
                stream.write(data)
                stream.flush()
                os.fsync(stream.fileno())
            _keep_owner(target, name)
            _replace(name, target, data)
        finally:
            with suppress(FileNotFoundError):
                os.unlink(name)


def _keep_owner(target: Path, name: str) -> None:
    with suppress(OSError):  # there is none, or only root may
        before = os.stat(target)
        os.chown(name, before.st_uid, before.st_gid)


def _replace(name: str, target: Path, data: bytes) -> None:
    try:
        os.replace(name, target)
    except OSError as error:
        if error.errno != errno.EBUSY:
            raise
        target.write_bytes(data)  # a file that is mounted by itself cannot be replaced
