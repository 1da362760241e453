"""The sources of COPY and ADD: which paths of a SourceTree a pattern names."""

from __future__ import annotations

from collections.abc import Iterator

from builder.dockerfile.globs import Glob, has_wildcards
from builder.layer.entry import Kind
from builder.layer.paths import inside, join
from builder.rootfs.tree import SourceTree


def matches(sources: SourceTree, pattern: str) -> list[str]:
    """The paths that `pattern` names, sorted. A pattern without wildcards names itself, whether it is there or not.

    A leading slash and ``..`` stay inside the root. Links in the part before the first wildcard are followed.
    Raises InvalidPattern.
    """
    if not has_wildcards(pattern):
        return [inside(_unescaped(pattern))]
    fixed, varying = _split(inside(pattern))
    root = sources.find(_unescaped(fixed)).path
    glob = Glob.parse(varying)
    depth = None if "**" in varying else varying.count("/")
    return [join(root, each) for each in _below(sources, root, "", glob, depth)]


def matches_below(sources: SourceTree, root: str, pattern: str) -> list[str]:
    """The paths relative to `root` that `pattern` names (``COPY --parents``), the outermost where they nest."""
    pattern = inside(pattern)
    if not pattern:
        return [""]
    if not has_wildcards(pattern):
        return [_unescaped(pattern)]
    return list(_below(sources, root, "", Glob.parse(pattern), None if "**" in pattern else pattern.count("/")))


def _below(sources: SourceTree, root: str, relative: str, glob: Glob, depth: int | None) -> Iterator[str]:
    """Matching paths below ``root/relative``; what is in a directory that matches goes with it."""
    for name in sources.names(join(root, relative)):
        path = join(relative, name)
        if glob.matches(path):
            yield path
            continue
        entry = sources.entry(join(root, path))
        if entry is not None and entry.kind is Kind.DIRECTORY and (depth is None or path.count("/") < depth):
            yield from _below(sources, root, path, glob, depth)


def _split(pattern: str) -> tuple[str, str]:
    """The components before the first one with a wildcard, and the rest."""
    parts = pattern.split("/")
    first = next(index for index, part in enumerate(parts) if has_wildcards(part))
    return "/".join(parts[:first]), "/".join(parts[first:])


def _unescaped(pattern: str) -> str:
    """A path as a pattern without wildcards spells it: a backslash makes the next character plain."""
    result, characters = [], iter(pattern)
    for character in characters:
        result.append(next(characters, "\\") if character == "\\" else character)
    return "".join(result)
