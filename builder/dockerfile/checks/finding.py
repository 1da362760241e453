"""What a build check reports."""

from __future__ import annotations

from dataclasses import dataclass

from builder.dockerfile.syntax import Location

_REFERENCE = "https://docs.docker.com/go/dockerfile/rule"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something that a check does not like; `name` is the check's, as ``# check=skip=`` takes it."""

    name: str
    location: Location
    message: str

    @property
    def url(self) -> str:
        """Where the check is explained."""
        words = "".join(f"-{letter.lower()}" if letter.isupper() else letter for letter in self.name)
        return f"{_REFERENCE}/{words.lstrip('-').replace('j-s-o-n', 'json')}/"

    def __str__(self) -> str:
        return f"{self.name}: {self.message} ({self.location.path}:{self.location.line})"
