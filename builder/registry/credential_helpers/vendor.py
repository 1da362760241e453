"""The helper program that a cloud's vendor ships, where there is one in PATH."""

from __future__ import annotations

import shutil
from collections.abc import Sequence

from builder.registry.credential_helper import ask_helper, program_of
from builder.registry.credential_helpers.helper import Environment, Lease

SECONDS = 600.0
"""How long what a program has said is kept: they do not say how long it is good, and keep it themselves."""


def ask_vendor(names: Sequence[str], registry: str, environment: Environment) -> Lease | None:
    """What the first of the programs ``docker-credential-NAME`` that is there knows.

    Raises BuilderError if it fails.
    """
    for name in names:
        if shutil.which(program_of(name), path=environment.get("PATH", "")):
            found = ask_helper(name, registry, environment)
            return Lease(found, SECONDS) if found else None
    return None
