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
    "armv8l": "arm", "loongarch64": "loong64", "powerpc64le": "ppc64le", "mips64el": "mips64le", "mipsel": "mipsle",
}  # fmt: skip
_IMPLIED_VARIANTS = {"armhf": "v7", "armel": "v6", "armv7l": "v7", "armv8l": "v7", "armv6l": "v6", "armv5l": "v5"}
_PART = re.compile(r"[A-Za-z0-9_.-]+")
_SYSTEMS = frozenset((
    "aix", "android", "darwin", "dragonfly", "freebsd", "hurd", "illumos", "ios", "js", "linux", "nacl", "netbsd",
    "openbsd", "plan9", "solaris", "wasi", "wasip1", "windows", "zos",
))  # fmt: skip
"""The operating systems that Go has names for (internal/syslist)."""
_KNOWN = frozenset((
    "386", "amd64", "amd64p32", "arm", "armbe", "arm64", "arm64be", "loong64", "mips", "mipsle", "mips64", "mips64le",
    "mips64p32", "mips64p32le", "ppc", "ppc64", "ppc64le", "riscv", "riscv64", "s390", "s390x", "sparc", "sparc64",
    "wasm",
))  # fmt: skip
"""Likewise the architectures."""


@dataclass(frozen=True, slots=True, order=True)
class Platform:
    """An operating system, a processor architecture (Go's names) and its variant (``""`` if it has none)."""

    os: str
    architecture: str
    variant: str = ""

    @classmethod
    def parse(cls, text: str) -> Platform:
        """Parse ``os/arch[/variant]``, a bare ``arch`` or ``os``, or ``local``, normalised as containerd does.

        Raises UsageError, also for an operating system or architecture that nobody has heard of.
        """
        parts = text.strip().split("/")
        if len(parts) > 3 or not all(_PART.fullmatch(part) for part in parts):
            raise UsageError(
                f"invalid platform {text!r}", hint="a platform is os/arch or os/arch/variant, e.g. linux/arm64"
            )
        if len(parts) == 1:
            if parts == ["local"]:
                return cls.host()
            parts = [parts[0], cls.host().architecture] if parts[0].lower() in _SYSTEMS else ["linux", *parts]
        found = cls.normalised(parts[0], parts[1], parts[2] if len(parts) == 3 else "")
        _check_known(found, text)
        return found

    @classmethod
    def parse_all(cls, texts: Iterable[str]) -> tuple[Platform, ...]:
        """Parse several. Raises UsageError as `parse`, and for one that comes twice, however it is spelled."""
        found: dict[Platform, str] = {}
        for text in texts:
            platform = cls.parse(text)
            if platform in found:
                spelled = "" if found[platform] == text else f" (as {found[platform]} and as {text})"
                raise UsageError(f"the platform {platform} is named twice{spelled}")
            found[platform] = text
        return tuple(found)

    @classmethod
    def normalised(cls, system: str, architecture: str, variant: str = "") -> Platform:
        """Go's names for what uname and people say; arm64's v8 and amd64's v1 are the default and left out."""
        system, architecture, variant = system.lower(), architecture.lower(), variant.lower()
        system = {"macos": "darwin"}.get(system, system)
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


def _check_known(platform: Platform, text: str) -> None:
    for what, name, known in (
        ("operating system", platform.os, _SYSTEMS),
        ("architecture", platform.architecture, _KNOWN),
    ):
        if name not in known:
            from difflib import get_close_matches

            near = get_close_matches(name, sorted(known), 1)
            hint = f"did you mean {near[0]}?" if near else f"{what}s: {', '.join(sorted(known))}"
            raise UsageError(f"unknown platform {text!r}: there is no {what} {name!r}", hint=hint)


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
