"""What ``--secret`` and ``--ssh`` give to ``RUN --mount``."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from builder.errors import UsageError

MAX_SECRET_BYTES = 500 * 1024
"""As large as BuildKit takes them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretSource:
    """Where a secret comes from: exactly one of a file and a variable of the builder's environment."""

    file: Path | None = None
    variable: str | None = None

    def read(self, name: str, environment: Mapping[str, str]) -> bytes:
        """The secret. Raises UsageError if it is not there or too large."""
        if self.variable is not None:
            value = environment.get(self.variable)
            if value is None:
                raise UsageError(f"the secret {name!r} is to come from the variable {self.variable}, which is not set")
            return os.fsencode(value)
        assert self.file is not None
        try:
            data = self.file.read_bytes()
        except OSError as error:
            raise UsageError(f"the secret {name!r} cannot be read from {self.file}: {error.strerror}") from None
        if len(data) > MAX_SECRET_BYTES:
            raise UsageError(f"the secret {name!r} is larger than {MAX_SECRET_BYTES} bytes")
        return data


@dataclass(frozen=True, slots=True, kw_only=True)
class Confidential:
    """The secrets of a build by id, and sockets of SSH agents by id."""

    secrets: Mapping[str, SecretSource] = field(default_factory=dict)
    agents: Mapping[str, Path] = field(default_factory=dict)
