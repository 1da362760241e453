"""``--annotation``: what it is said of (BuildKit's "Annotations": manifest, index, and their descriptors)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal

from builder.errors import UsageError
from builder.image.platform import Platform

Place = Literal["manifest", "index", "manifest-descriptor", "index-descriptor"]

_PLACES = ("manifest", "index", "manifest-descriptor", "index-descriptor")
_PREFIX = re.compile(r"(?P<types>[a-z,-]+)(?:\[(?P<platform>[^\]]*)\])?:(?P<key>.+)", re.DOTALL)


def annotations_of(place: Place, given: Mapping[str, str], platform: Platform | None = None) -> dict[str, str]:
    """The annotations for `place`, of the image for `platform`.

    A key may begin with the places that it is for, and with a platform: ``index,manifest:key``,
    ``manifest[linux/arm64]:key``. Without, it is for the manifest. Raises UsageError for a platform that is none.
    """
    found = {}
    for text, value in given.items():
        types, wanted, key = _parsed(text)
        if place in types and (wanted is None or wanted == platform):
            found[key] = value
    return found


def _parsed(text: str) -> tuple[tuple[str, ...], Platform | None, str]:
    match = _PREFIX.fullmatch(text)
    types = tuple(match["types"].split(",")) if match else ()
    if not match or not all(each in _PLACES for each in types):
        return ("manifest",), None, text
    platform = match["platform"]
    try:
        return types, Platform.parse(platform) if platform else None, match["key"]
    except UsageError as error:
        raise UsageError(f"--annotation {text}: {error.message}", hint=error.hint) from None
