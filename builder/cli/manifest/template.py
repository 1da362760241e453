"""Names of images by a template, as manifest-tool has it: ``repo:tag-OS-ARCH-VARIANT``."""

from __future__ import annotations

import re

from builder.errors import UsageError

_PLACEHOLDER = re.compile(r"OS|ARCH|VARIANT")
_PLACEHOLDERS = re.compile(r"(?<![A-Z])(?:OS|ARCH|VARIANT)+(?![A-Z])")
_SEPARATED_VARIANT = re.compile(r"[-_.]VARIANT(?![A-Z])")


def names(template: str, platform: str) -> tuple[str, ...]:
    """The names that the template gives for ``os/arch[/variant]``, as it is spelled.

    For a platform without a variant, there are two where a separator is before VARIANT: with nothing in its place, and
    without the separator, too. Raises UsageError for a template that names the same image for all platforms.
    """
    if not _PLACEHOLDERS.search(template):
        raise UsageError(
            f"the template {template!r} has none of OS, ARCH and VARIANT in it, so that it names one image alone",
            hint="for example --template registry.example.com/group/name:OS-ARCH",
        )
    parts = [*platform.strip().split("/"), "", ""][:3]
    values = dict(zip(("OS", "ARCH", "VARIANT"), parts, strict=True))
    templates = [template] if values["VARIANT"] else [_SEPARATED_VARIANT.sub("", template), template]
    return tuple(dict.fromkeys(_filled(each, values) for each in templates))


def _filled(template: str, values: dict[str, str]) -> str:
    return _PLACEHOLDERS.sub(lambda run: _PLACEHOLDER.sub(lambda found: values[found[0]], run[0]), template)
