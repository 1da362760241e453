"""``--provenance``, with the values that buildx knows."""

from __future__ import annotations

from builder.engine.request import Provenance
from builder.errors import UsageError

_OFF, _MIN = ("", "false", "0", "disabled=true"), ("true", "1", "min")


def provenance(text: str) -> Provenance | None:
    """``false``, ``true``, ``min`` or ``mode=min,builder-id=URI``; None for no attestation. Raises UsageError."""
    if text in _OFF:
        return None
    if text in _MIN:
        return Provenance()
    builder_id = ""
    for part in text.split(","):
        key, _, value = part.partition("=")
        if part == "max" or (key, value) == ("mode", "max"):
            raise UsageError("--provenance=max is not supported: it would tell build arguments", hint="use min")
        if key == "builder-id":
            builder_id = value
        elif (key, value) != ("mode", "min"):
            raise UsageError(f"--provenance is false, min or mode=min,builder-id=URI, not {text!r}")
    return Provenance(builder_id=builder_id)
