"""``--secret`` and ``--ssh``, in BuildKit's syntax."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path

from builder.cli.arguments import Arguments
from builder.cli.option_values import choice, pairs
from builder.engine.secret_sources import Confidential, SecretSource
from builder.errors import UsageError


def confidential(arguments: Arguments, environment: Mapping[str, str]) -> Confidential:
    """Raises UsageError for what is badly written or not there."""
    return Confidential(
        secrets=_secrets(arguments.many("secret"), environment), agents=_agents(arguments.many("ssh"), environment)
    )


def values(confidential: Confidential, environment: Mapping[str, str]) -> list[str]:
    """The secrets themselves, to keep them out of what is shown. Raises UsageError for a file that cannot be read."""
    found = [
        source.read(name, environment)
        for name, source in confidential.secrets.items()
        if source.variable is None or source.variable in environment
    ]
    return [value.decode(errors="replace") for value in found]


def _secrets(texts: Iterable[str], environment: Mapping[str, str]) -> dict[str, SecretSource]:
    result: dict[str, SecretSource] = {}
    for text in texts:
        fields = pairs("secret", text.split(","))
        for key in fields:
            choice("secret", key, ("id", "src", "source", "env", "type"))
        name = fields.get("id")
        if not name:
            raise UsageError("--secret needs an id: id=ID[,src=FILE][,env=NAME]")
        if name in result:
            raise UsageError(f"--secret: {name!r} is given twice")
        result[name] = _source(name, fields, environment)
    return result


def _source(name: str, fields: Mapping[str, str], environment: Mapping[str, str]) -> SecretSource:
    """A file or a variable. Where nothing says which, a variable of the secret's name, else a file of that name."""
    kind = choice("secret type", fields["type"], ("file", "env")) if "type" in fields else ""
    file, variable = fields.get("src") or fields.get("source") or "", fields.get("env", "")
    if file and variable:
        raise UsageError(f"--secret: {name!r} has both a file and a variable")
    if kind == "file" and variable:
        raise UsageError(f"--secret: {name!r} has type=file and a variable")
    if kind == "env":
        return SecretSource(variable=variable or file or name)
    if variable or (not kind and not file and name in environment):
        return SecretSource(variable=variable or name)
    return SecretSource(file=Path(os.path.abspath(file or name)))


def _agents(texts: Iterable[str], environment: Mapping[str, str]) -> dict[str, Path]:
    result: dict[str, Path] = {}
    for text in texts:
        name, _, socket = text.partition("=")
        socket = socket or environment.get("SSH_AUTH_SOCK", "")
        if not name:
            raise UsageError(f"--ssh takes ID or ID=SOCKET, not {text!r}")
        if not socket:
            raise UsageError(f"--ssh {name}: SSH_AUTH_SOCK is not set", hint="start an ssh-agent, or name its socket")
        if not _is_socket(socket):
            raise UsageError(
                f"--ssh {name}: {socket} is not a socket", hint="add keys to an ssh-agent, and name its socket"
            )
        result[name] = Path(os.path.abspath(socket))
    return result


def _is_socket(path: str) -> bool:
    try:
        return stat.S_ISSOCK(os.stat(path).st_mode)
    except OSError:
        return False
