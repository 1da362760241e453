"""``env``: ``KANIKO_<HOST>_USER`` and ``KANIKO_<HOST>_PASSWORD``, as kaniko reads them."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from dataclasses import dataclass

from builder.registry.credential_helpers.helper import Environment, Lease
from builder.registry.credentials import Credentials


@dataclass(frozen=True, slots=True)
class EnvHelper:
    """The host in capitals, with ``_`` for each dot, dash and colon.

    A variable for a domain counts for the hosts below it, the longest first: ``KANIKO_EXAMPLE_COM_USER`` for
    ``registry.example.com``. One for a top-level domain counts for nobody. A port is a part of the host.
    """

    environment: Environment
    name: str = "env"

    def covers(self, registry: str, /) -> bool:
        return True

    def find(self, registry: str, /) -> Lease | None:
        for name in _names(registry):
            user, password = (self.environment.get(f"KANIKO_{name}_{part}") for part in ("USER", "PASSWORD"))
            if user is not None and password is not None:
                source = f"KANIKO_{name}_USER and KANIKO_{name}_PASSWORD"
                return Lease(Credentials(username=user, password=password, source=source))
        return None

    def missing(self, registry: str, /) -> str:
        return f"KANIKO_{next(_names(registry))}_USER and ..._PASSWORD are not set"


def _names(registry: str) -> Iterator[str]:
    host = registry.removesuffix(":443")
    name, colon, port = host.rpartition(":") if re.search(r":\d+$", host) else (host, "", "")
    labels = name.strip("[]").replace(":", ".").split(".")
    most = 1 if len(labels) == 1 or _is_address(name) else len(labels) - 1
    for first in range(most):
        yield re.sub(r"[^A-Z0-9]", "_", ".".join(labels[first:]).upper() + (f"_{port}" if colon else ""))


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True
