"""Docker's credential helpers: programs ``docker-credential-NAME`` that know passwords (docker-credential-helpers)."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from builder import process
from builder.errors import BuilderError
from builder.registry.credentials import Credentials
from builder.registry.docker_config import TOKEN_USER

_TIMEOUT = 60.0
_NOT_FOUND = ("credentials not found", "no credentials server url", "no credentials username")


def ask_helper(name: str, server: str, environment: Mapping[str, str]) -> Credentials | None:
    """What the helper `name` has for `server`, None if it has nothing.

    Raises BuilderError if it is not installed, fails, hangs, or answers something else than credentials; what it
    printed is not shown, since a secret may be in it.
    """
    if not re.fullmatch(r"[A-Za-z0-9._-]+", name):
        raise BuilderError(f"the credential helper's name {name!r} is not valid")
    program = f"docker-credential-{name}"
    done = process.run([program, "get"], input=server.encode(), env=environment, timeout=_TIMEOUT)
    if done.status != 0:
        said = (done.stdout + done.stderr).decode("utf-8", "replace").lower()
        if any(text in said for text in _NOT_FOUND):
            return None
        raise BuilderError(f"{program} failed with status {done.status} when asked for {server}")
    try:
        document = json.loads(done.stdout)
        username, secret = str(document["Username"]), str(document["Secret"])
    except (KeyError, TypeError, ValueError, RecursionError):
        raise BuilderError(f"{program} answered no credentials when asked for {server}") from None
    if username == TOKEN_USER:
        return Credentials(identity_token=secret, source=program)
    return Credentials(username=username, password=secret, source=program)
