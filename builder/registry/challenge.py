"""``WWW-Authenticate`` headers (RFC 9110, 11.6.1), which say how a registry wants to be authenticated to."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

_TOKEN = r"[A-Za-z0-9!#$%&'*+.^_`|~-]+"
_PARAMETER = re.compile(rf'\s*({_TOKEN})\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]*))\s*(?:,|$)')
_SCHEME = re.compile(rf"[\s,]*({_TOKEN})(?=\s|,|$)[ \t]*")


@dataclass(frozen=True, slots=True)
class Challenge:
    """One way to authenticate; `scheme` and the names of the parameters are in lower case."""

    scheme: str
    parameters: Mapping[str, str] = field(default_factory=dict)


def parse_challenges(header: str) -> list[Challenge]:
    """The challenges of a header, or of several joined by commas; what is not understood is left out."""
    challenges, position = [], 0
    while scheme := _SCHEME.match(header, position):
        position, parameters = scheme.end(), {}
        while found := _PARAMETER.match(header, position):
            name, quoted, plain = found.groups()
            parameters[name.lower()] = plain if quoted is None else re.sub(r"\\(.)", r"\1", quoted)
            position = found.end()
        challenges.append(Challenge(scheme.group(1).lower(), parameters))
        if scheme.end() == len(header):
            break
    return challenges
