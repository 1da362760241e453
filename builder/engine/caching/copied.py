"""What COPY, ADD and bind mounts take, copied onto nothing: that, with what it is copied onto, determines a layer."""

from __future__ import annotations

from typing import NamedTuple

from builder.cache.keys import Component, component
from builder.dockerfile.globs import has_wildcards
from builder.dockerfile.ignore import IgnoreRules
from builder.dockerfile.syntax import Copy, Transfer
from builder.engine.copying.copier import Copier, CopyOptions
from builder.engine.copying.modes import parse_mode
from builder.engine.copying.sources import matches, matches_below
from builder.errors import BuilderError
from builder.layer.changes import Changes
from builder.layer.entry import Entry, Kind
from builder.layer.paths import inside, join
from builder.rootfs.tree import FileTree, SourceTree


class NoKey(BuilderError):
    """The inputs of an instruction cannot be told: it is carried out, and says itself what is wrong."""


class Where(NamedTuple):
    """What messages put around ``file PATH``."""

    before: str = ""
    after: str = ""

    def name(self, path: str, *, is_directory: bool) -> str:
        return f"{self.before}{'directory' if is_directory else 'file'} {path or '/'}{self.after}"


CONTEXT = Where(before="context ")


class Copied:
    """Collects what is taken from one or more trees.

    Each source gets a directory of its own, so that its name counts and nothing hides anything else.

    Args:
        instruction: whose flags make owners and modes; None for mounts, which show things as they are.
    """

    def __init__(self, instruction: Transfer | None = None) -> None:
        self._copier = Copier(FileTree(), _options(instruction) if instruction else CopyOptions())
        self._sources: dict[str, tuple[Where, str, bool]] = {}
        self._patterns = 0
        self.cloned = False
        self.components: list[Component] = []

    @property
    def changes(self) -> Changes:
        """Everything that was taken, below the directories of the sources."""
        return {path: entry for path, entry in self._copier.changes.items() if "/" in path}

    def add(self, sources: SourceTree, where: Where, pattern: str) -> None:
        """Take what `pattern` names in `sources`, which messages call `where`. Raises NoKey, ContextError."""
        self._patterns += 1
        for path in matches(sources, pattern):
            found = sources.find(path)
            if found.entry is None:
                if has_wildcards(pattern):
                    continue
                raise NoKey(f"/{path} is not there")
            self._add(sources, where, path, found.entry)

    def add_below(self, sources: SourceTree, where: Where, pattern: str) -> None:
        """Take what a source of ``COPY --parents`` names, with the directories above it. Raises as `add`."""
        self._patterns += 1
        pivot, found, rest = pattern.partition("/./")
        if not found:
            pivot, rest = "", pattern
        root = sources.find(inside(pivot)).path
        number = self._number(where, root, is_directory=True)
        for path in matches_below(sources, root, rest):
            if sources.entry(join(root, path)) is None:
                raise NoKey(f"/{path} is not there")
            self._copier.copy_with_parents(sources, root, path, f"/{number}/")

    def add_whole(self, sources: SourceTree, where: Where, path: str) -> None:
        """Take what is at `path`, as mounts show it: the directory itself counts, too. Raises as `add`."""
        self._patterns += 1
        found = sources.find(inside(path))
        if found.entry is None:
            raise NoKey(f"/{inside(path)} is not there")
        entry = found.entry
        self.components.append(
            component(where.name(inside(path), is_directory=True), [entry.mode, entry.uid, entry.gid])
        )
        self._add(sources, where, inside(path), entry)

    def name_of(self, path: str, entry: Entry) -> str:
        """What people call what was taken to `path`."""
        number, _, rest = path.partition("/")
        where, source, is_directory = self._sources[number]
        shown = join(source, rest) if is_directory else source
        return where.name(shown, is_directory=entry.kind is Kind.DIRECTORY)

    def _add(self, sources: SourceTree, where: Where, path: str, entry: Entry) -> None:
        is_directory = entry.kind is Kind.DIRECTORY
        number = self._number(where, path, is_directory=is_directory)
        if is_directory:
            self.components.append(component(where.name(path, is_directory=True), ["source", number]))
        self._copier.copy(sources, path, f"/{number}/")

    def _number(self, where: Where, source: str, *, is_directory: bool) -> str:
        # The number of the pattern, not of the source: a new file of a glob does not make the others others.
        number = f"{self._patterns} {source}".replace("/", "\0")
        self._sources[number] = where, source, is_directory
        return number


def add_sources(copied: Copied, instruction: Transfer, sources: SourceTree, where: Where, patterns: list[str]) -> None:
    """Take the local sources of COPY or ADD."""
    for pattern in patterns:
        if isinstance(instruction, Copy) and instruction.parents:
            copied.add_below(sources, where, pattern)
        else:
            copied.add(sources, where, pattern)


def _options(instruction: Transfer) -> CopyOptions:
    # Whom --chown means is a matter of the image, and so of what is below; here it only takes the source's owner away.
    return CopyOptions(
        owner=(0, 0) if instruction.chown else None,
        mode=parse_mode(instruction.chmod) if instruction.chmod else None,
        excludes=IgnoreRules.of(instruction.excludes) if instruction.excludes else None,
    )
