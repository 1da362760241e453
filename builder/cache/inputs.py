"""Why a step is built again: the inputs of the last build of this step, compared with those of now."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence

from builder.cache.keys import Component

_SHORT = 16
"""Hexadecimal digits that are kept of a component's digest: enough to see a change."""
_MOST_NAMED = 3
INSTRUCTION = "instruction"
BENEATH = "what is beneath"
"""Components that every step has: its own words, and the base with the steps before it."""


def to_json(components: Sequence[Component]) -> bytes:
    """The components as they are kept: names, and shortened digests of the values."""
    return json.dumps([[each.name, each.digest[:_SHORT]] for each in components]).encode()


def from_json(data: bytes) -> Mapping[str, str] | None:
    """Digests by name; None for what is damaged."""
    try:
        return {str(name): str(digest) for name, digest in json.loads(data)}
    except (ValueError, TypeError, RecursionError):
        return None


def reason(before: Mapping[str, str], components: Sequence[Component], *, first: bool) -> str:
    """What has changed since the build that `before` is of: ``ARG VERSION changed``.

    Args:
        first: no step of the stage comes before this one, so that beneath it is the base.
    """
    now = {each.name: each.digest[:_SHORT] for each in components}
    changed = [name for name, digest in now.items() if before.get(name, digest) != digest]
    added = [name for name in now if name not in before]
    gone = [name for name in before if name not in now]
    if INSTRUCTION in changed:
        return "instruction changed"
    if BENEATH in changed:
        return "base changed" if first else "earlier step changed"
    words = [
        *_told(changed, "changed"),
        *_told(added, "is new"),
        *_told(gone, "is gone"),
    ]
    return ", ".join(words) or "it is no longer in the cache"


def _told(names: Iterable[str], what: str) -> list[str]:
    listed = sorted(names)
    told = [f"{name} {what}" for name in listed[:_MOST_NAMED]]
    if len(listed) > _MOST_NAMED:
        told.append(f"and {len(listed) - _MOST_NAMED} more")
    return told
