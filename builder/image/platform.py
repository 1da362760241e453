"""Platforms: ``os/arch[/variant]`` (OCI image-spec, image-index.md; containerd's normalisation)."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass

from builder.errors import UsageError

_ARCHITECTURES = {
    "x86_64": "amd64", "x86-64": "amd64", "aarch64": "arm64", "i386": "386", "i486": "386", "i586": "386",
    "i686": "386", "armhf": "arm", "armel": "arm", "armv7l": "arm", "armv6l": "arm", "armv5l": "arm",
    "loongarch64": "loong64", "powerpc64le": "ppc64le", "mips64el": "mips64le", "mipsel": "mipsle",
}  # fmt: skip
_IMPLIED_VARIANTS = {"armhf": "v7", "armel": "v6", "armv7l": "v7", "armv6l": "v6", "armv5l": "v5"}
_PART = re.compile(r"[A-Za-z0-9_.-]+")


@dataclass(frozen=True, slots=True, order=True)
class Platform:
    """An operating system, a processor architecture (Go's names) and its variant (``""`` if it has none)."""

    os: str
    architecture: str
    variant: str = ""

    @classmethod
    def parse(cls, text: str) -> Platform:
        """Parse ``os/arch[/variant]`` or a bare ``arch``, normalised as containerd does. Raises UsageError."""
        parts = text.strip().split("/")
        if len(parts) == 1:
            parts = ["linux", *parts]
        if len(parts) > 3 or not all(_PART.fullmatch(part) for part in parts):
            raise UsageError(
                f"invalid platform {text!r}", hint="a platform is os/arch or os/arch/variant, e.g. linux/arm64"
            )
        return cls.normalised(parts[0], parts[1], parts[2] if len(parts) == 3 else "")

    @classmethod
    def normalised(cls, system: str, architecture: str, variant: str = "") -> Platform:
        """Go's names for what uname and people say; arm64's v8 and amd64's v1 are the default and left out."""
        system, architecture, variant = system.lower(), architecture.lower(), variant.lower()
        variant = variant or _IMPLIED_VARIANTS.get(architecture, "")
        architecture = _ARCHITECTURES.get(architecture, architecture)
        if variant.isdigit():
            variant = f"v{variant}"
        if architecture == "arm" and not variant:
            variant = "v7"
        if (architecture, variant) in (("arm64", "v8"), ("amd64", "v1")):
            variant = ""
        return cls(system, architecture, variant)

    @classmethod
    def host(cls) -> Platform:
        """The platform that this process runs on."""
        return cls.normalised("linux", os.uname().machine)

    def __str__(self) -> str:
        return "/".join(part for part in (self.os, self.architecture, self.variant) if part)


def best_match(wanted: Platform, available: Iterable[Platform]) -> Platform | None:
    """The platform of `available` that serves `wanted` best, None if none does.

    The same one first, then (arm) the nearest older variant, then one that names no variant.
    """
    candidates = [each for each in available if (each.os, each.architecture) == (wanted.os, wanted.architecture)]
    fits = [
        each for each in candidates if _variant_rank(each.variant) <= _variant_rank(wanted.variant) or not each.variant
    ]
    return max(fits, key=lambda each: _variant_rank(each.variant), default=None)


def _variant_rank(variant: str) -> float:
    number = variant.removeprefix("v")
    try:
        return float(number)
    except ValueError:
        return 0.0
