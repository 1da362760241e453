"""Parser directives: ``# escape=``, ``# syntax=`` and ``# check=`` at the very top of a Dockerfile.

The Dockerfile reference, "Parser directives". Anything else that looks like one is a comment and ends them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from types import MappingProxyType

from builder.dockerfile.errors import DockerfileError
from builder.dockerfile.whitespace import WHITESPACE

_DIRECTIVE = re.compile(r"([a-zA-Z][a-zA-Z0-9]*)[\t\n\f\r ]*=[\t\n\f\r ]*(.+?)[\t\n\f\r ]*")
_NAMES = ("syntax", "escape", "check")
ESCAPES = ("\\", "`")


def read_directives(lines: Sequence[str], path: str) -> MappingProxyType[str, str]:
    """The directives at the start of `lines`, by lower-case name.

    Raises DockerfileError for one that is there twice, and for an escape character that is none.
    """
    found: dict[str, str] = {}
    first = 1 if lines and lines[0].startswith("#!") else 0
    for number, line in enumerate(lines[first:], first + 1):
        match = _match(line)
        if match is None:
            break
        name, value = match[1].lower(), match[2]
        if name in found:
            raise _error(path, number, line, f"only one {name} parser directive can be used")
        if name == "escape" and value not in ESCAPES:
            raise _error(path, number, line, f"invalid escape character {value!r}", "it is \\ or `")
        found[name] = value
    if first:
        found.pop("escape", None)  # behind an interpreter line it is a comment, the other two are not
    return MappingProxyType(found)


def _match(line: str) -> re.Match[str] | None:
    line = line.strip(WHITESPACE)
    match = _DIRECTIVE.fullmatch(line[1:].lstrip(WHITESPACE)) if line.startswith("#") else None
    return match if match and match[1].lower() in _NAMES else None


def _error(path: str, number: int, line: str, reason: str, hint: str | None = None) -> DockerfileError:
    text = line.rstrip("\r\n")
    return DockerfileError(reason, path=path, line=number, text=text, length=len(text.rstrip()), hint=hint)
