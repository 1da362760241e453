"""Docker's credential helpers: programs ``docker-credential-NAME`` that know passwords (docker-credential-helpers)."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from builder import process
from builder.errors import BuilderError
from builder.registry.credentials import Credentials
from builder.registry.docker_config import TOKEN_USER

_TIMEOUT = 30.0
_LIMIT = 1 << 20
_NOT_FOUND = ("credentials not found", "no credentials server url", "no credentials username")


def ask_helper(name: str, server: str, environment: Mapping[str, str]) -> Credentials | None:
    """What the helper `name` has for `server` (its ``get``), None if it has nothing.

    Raises BuilderError if it is not installed, fails, hangs, or answers something else than credentials; what it
    printed is not shown, since a secret may be in it.
    """
    program = program_of(name)
    done = _run([program, "get"], server.encode(), environment, f"asked for {server}")
    if done.status != 0:
        said = (done.stdout + done.stderr).decode("utf-8", "replace").lower()
        if any(text in said for text in _NOT_FOUND):
            return None
        raise _failed(program, f"failed with status {done.status} when asked for {server}")
    try:
        document = json.loads(done.stdout)
        username, secret = document["Username"], document["Secret"]
    except (KeyError, TypeError, ValueError, RecursionError):
        username = secret = None
    if not isinstance(username, str) or not isinstance(secret, str):
        raise _failed(program, f"answered no credentials when asked for {server}")
    if not secret:
        return None
    if username == TOKEN_USER:
        return Credentials(identity_token=secret, source=program)
    return Credentials(username=username, password=secret, source=program)


def tell_helper(name: str, server: str, username: str, secret: str, environment: Mapping[str, str]) -> None:
    """Have the helper `name` keep credentials (its ``store``). Raises BuilderError as `ask_helper`."""
    program = program_of(name)
    entry = json.dumps({"ServerURL": server, "Username": username, "Secret": secret})
    done = _run([program, "store"], entry.encode(), environment, f"told to store the credentials of {server}")
    if done.status != 0:
        raise _failed(program, f"failed with status {done.status} when told to store the credentials of {server}")


def program_of(name: str) -> str:
    """The helper's program. Raises BuilderError for a name that is a path, or no name at all."""
    if not re.fullmatch(r"[A-Za-z0-9._-]+", name):
        raise BuilderError(f"the credential helper's name {name!r} is not valid")
    return f"docker-credential-{name}"


def _run(argv: list[str], data: bytes, environment: Mapping[str, str], when: str) -> process.Completed:
    try:
        return process.run_untrusted(argv, input=data, env=environment, timeout=_TIMEOUT, limit=_LIMIT)
    except BuilderError as error:
        raise BuilderError(f"{error.message} ({when})", hint=error.hint) from None


def _failed(program: str, how: str) -> BuilderError:
    return BuilderError(f"{program} {how}", hint=f"run `{program}` by hand to see what is wrong with it")
