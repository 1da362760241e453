"""Which files .dockerignore leaves out of a context, and ``COPY --exclude`` of a copy.

The Dockerfile reference's ".dockerignore files", and Docker's pattern matcher where that is silent: rules are tried in
order and the last one that matches decides, a rule that matches a directory matches all below it, and ``!`` makes an
exception. What a rule matched is remembered from a directory to what is in it, so a rule that was skipped for a
directory (because it could not change anything) is not tried on that directory again for its files.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterable

from builder.dockerfile.globs import InvalidPattern, character_class, check_pattern, has_wildcards
from builder.dockerfile.whitespace import WHITESPACE

_Match = Callable[[str], bool]


class IgnoreRules:
    """Rules in order; made by `parse` or `of`. Answers are remembered for each directory that was asked about."""

    def __init__(self, rules: Iterable[_Rule]) -> None:
        self._rules = tuple(rules)
        self._matched: dict[str, tuple[bool, ...]] = {}

    @classmethod
    def parse(cls, text: str) -> IgnoreRules:
        """The rules of a .dockerignore file. Raises InvalidPattern."""
        lines = text.removeprefix("\ufeff").split("\n")
        return cls.of(_cleaned(line.strip(WHITESPACE)) for line in lines if not line.startswith("#"))

    @classmethod
    def of(cls, patterns: Iterable[str]) -> IgnoreRules:
        """The rules of patterns as ``--exclude`` has them: a leading slash is not removed. Raises InvalidPattern."""
        stripped = (pattern.strip(WHITESPACE) for pattern in patterns)
        return cls(_Rule(_clean(pattern)) for pattern in stripped if pattern)

    @property
    def has_exceptions(self) -> bool:
        return any(rule.is_exception for rule in self._rules)

    def __bool__(self) -> bool:
        return bool(self._rules)

    def excludes(self, path: str) -> bool:
        """Whether a path (relative, with slashes, clean) is left out, itself or by a directory above it.

        The context itself (``.``) never is.
        """
        if not self._rules or path in ("", "."):
            return False
        return self._decide(path, self._matches_of_parent(path))[0]

    def may_include_below(self, directory: str) -> bool:
        """Whether something below a directory that is left out may still be in, so that it must be walked."""
        return any(rule.is_exception and rule.may_match_below(directory) for rule in self._rules)

    def _matches_of_parent(self, path: str) -> tuple[bool, ...]:
        matches = (False,) * len(self._rules)
        end = path.find("/")
        while end >= 0:
            directory = path[:end]
            if directory not in self._matched:
                self._matched[directory] = self._decide(directory, matches)[1]
            matches = self._matched[directory]
            end = path.find("/", end + 1)
        return matches

    def _decide(self, path: str, parent: tuple[bool, ...]) -> tuple[bool, tuple[bool, ...]]:
        excluded = False
        matches = []
        for rule, inherited in zip(self._rules, parent, strict=True):
            match = inherited or (rule.is_exception == excluded and rule.matches(path))
            matches.append(match)
            if match:
                excluded = not rule.is_exception
        return excluded, tuple(matches)


class _Rule:
    """One pattern, cleaned; with ``!`` in front it is an exception."""

    def __init__(self, pattern: str) -> None:
        self.is_exception = pattern.startswith("!")
        self._pattern = pattern[1:] if self.is_exception else pattern
        if not self._pattern:
            raise InvalidPattern(pattern, "an exception needs a pattern")
        check_pattern(self._pattern)
        self.matches = _matcher(self._pattern)

    def may_match_below(self, directory: str) -> bool:
        """False only if no path below `directory` can match: a component before the first wildcard is another one."""
        fixed = self._pattern.split("/")
        fixed = fixed[: next((index for index, part in enumerate(fixed) if "\\" in part or has_wildcards(part)), None)]
        components = directory.split("/")
        if len(fixed) == self._pattern.count("/") + 1 and len(fixed) <= len(components):
            return False
        return all(part == component for part, component in zip(fixed, components, strict=False))


def _cleaned(line: str) -> str:
    """A line of .dockerignore as a pattern: no leading slash, nothing superfluous in the path."""
    exception = line.startswith("!")
    pattern = line[1:].strip(WHITESPACE) if exception else line
    if pattern:
        pattern = _clean(pattern)
        pattern = pattern[1:] if pattern.startswith("/") and len(pattern) > 1 else pattern
    return f"!{pattern}" if exception else pattern


def _clean(path: str) -> str:
    """Go's filepath.Clean: as posixpath.normpath, but two leading slashes are one."""
    return posixpath.normpath(f"/{path.lstrip('/')}" if path.startswith("/") else path)


def _matcher(pattern: str) -> _Match:
    """How Docker's matcher takes a pattern: four ways, which differ in odd cases such as ``a**`` and ``**a``."""
    kind, expression = _analysed(pattern)
    if kind == "exact":
        return pattern.__eq__
    if kind == "prefix":
        return lambda path: path.startswith(pattern[:-2])
    if kind == "suffix":
        suffix = pattern[2:]
        return lambda path: path.endswith(suffix) or (suffix.startswith("/") and path == suffix[1:])
    match = re.compile(expression).fullmatch
    return lambda path: match(path) is not None


def _analysed(pattern: str) -> tuple[str, str]:
    """Which of the four ways, and the regular expression, which only one of them needs."""
    kind, parts, at = "exact", list[str](), 0
    while at < len(pattern):
        start, character = at, pattern[at]
        at += 1
        if pattern.startswith("**", start):
            at += 2 if pattern.startswith("/", start + 2) else 1
            last = at == len(pattern)
            kind = "suffix" if start == 0 else "prefix" if last and kind == "exact" else "expression"
            parts.append(".*" if last else "(?:.*/)?")
            continue
        if character in "*?":
            parts.append("[^/]*" if character == "*" else "[^/]")
        elif character == "[":
            expression, at = character_class(pattern, start)
            parts.append(expression)
        elif character == "\\":
            parts.append(re.escape(pattern[at]))
            at += 1
        else:
            parts.append(re.escape(character))
        if character in "*?[]\\":
            kind = "expression"
    return kind, "".join(parts)
