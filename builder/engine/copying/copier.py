"""The copying itself: from a SourceTree into a FileTree, by BuildKit's rules (semantics.md, rows COPY)."""

from __future__ import annotations

import posixpath
from dataclasses import dataclass

from builder.dockerfile.ignore import IgnoreRules
from builder.engine.copying.modes import SetMode
from builder.errors import BuilderError
from builder.layer.entry import Entry, Kind
from builder.layer.paths import inside, join, parents, split
from builder.rootfs.tree import FileTree, SourceTree


@dataclass(frozen=True, slots=True, kw_only=True)
class CopyOptions:
    """What an instruction's flags and the build say of what it copies.

    Attributes:
        owner: uid and gid of everything copied and of implied parents; None keeps the source's, parents are 0:0.
        mode: of everything copied but links; None keeps the source's.
        parent_mode: of directories that are made because the destination lies below them.
        time: mtime of everything (SOURCE_DATE_EPOCH); None keeps the source's.
        now: mtime of implied parents, seconds since the epoch.
        excludes: ``--exclude``, against paths relative to the source.
    """

    owner: tuple[int, int] | None = None
    mode: SetMode | None = None
    parent_mode: int = 0o755
    time: int | None = None
    now: int = 0
    excludes: IgnoreRules | None = None


class CopyConflict(BuilderError):
    """A directory is to replace a file, or a file a directory."""


class Copier:
    """Copies the sources of one instruction into `tree`, and notes what changed in `changes`.

    Hardlinks among what is copied stay hardlinks.
    """

    def __init__(self, tree: FileTree, options: CopyOptions) -> None:
        self._tree = tree
        self._options = options
        self._made: dict[int, tuple[Entry, Entry]] = {}
        self.changes: dict[str, Entry | None] = {}

    def copy(self, sources: SourceTree, source: str, destination: str) -> None:
        """Copy one source.

        Args:
            source: its path in `sources`; followed if it is a link. It must be there.
            destination: absolute; with a slash at its end it is a directory.

        Raises:
            CopyConflict, TooManyLinks.
        """
        found = sources.find(source)
        assert found.entry is not None, source
        is_directory = found.entry.kind is Kind.DIRECTORY
        target = self._target(destination)
        existing = self._tree.entry(target)
        onto_directory = existing is not None and existing.kind is Kind.DIRECTORY
        if is_directory:
            if existing is None:
                self.make_directories(target)
            elif not onto_directory:
                raise CopyConflict(f"cannot copy a directory to /{target}, which is not one")
            self._copy_contents(sources, found.path, target, "")
            return
        name = split(source.rstrip("/"))[1] or split(found.path)[1]
        if onto_directory:
            target = join(target, name)
        if not self._excluded(name):
            self.make_directories(split(target)[0])
            self._put_other(target, found.entry)

    def copy_with_parents(self, sources: SourceTree, root: str, path: str, destination: str) -> None:
        """Copy ``root/path`` to ``destination/path``; the directories in between take the source's metadata."""
        target_root = self._target(destination.rstrip("/") + "/")
        self.make_directories(target_root)
        for parent in parents(path):
            above = sources.entry(join(root, parent))
            if above is not None and above.kind is Kind.DIRECTORY:
                self._put_directory(join(target_root, parent), above, overwrite=True)
        entry = sources.entry(join(root, path))
        if entry is None or self._excluded(path):
            return
        target = join(target_root, path)
        if entry.kind is Kind.DIRECTORY:
            if path:
                self._put_directory(target, entry, overwrite=True)
            self._copy_contents(sources, join(root, path), target, path)
        else:
            self._put_other(target, entry)

    def make_directories(self, path: str) -> None:
        """Make the directory `path` (whose links are resolved) and those above it where they are missing."""
        for each in [*parents(path), path]:
            entry = self._tree.entry(each)
            if entry is None:
                self._note(each, self._implied(each))
            elif entry.kind is not Kind.DIRECTORY:
                raise CopyConflict(f"/{each} is not a directory")

    def _implied(self, path: str) -> Entry:
        """A directory that nothing was copied to; below a set-group-ID one it is what mkdir(2) makes there."""
        above = self._tree.entry(split(path)[0])
        inherited = above is not None and bool(above.mode & 0o2000)
        mode = self._options.parent_mode | (0o2000 if inherited else 0)
        uid, gid = self._options.owner or (0, above.gid if inherited and above is not None else 0)
        mtime = self._options.now if self._options.time is None else self._options.time
        return Entry(Kind.DIRECTORY, mode, uid, gid, mtime=mtime)

    def put_as_is(self, path: str, entry: Entry) -> None:
        """Put an entry that has its owner, mode and time already (a member of an archive); its parent exists."""
        self._note(path, entry)

    def remove(self, path: str) -> None:
        """Remove `path` with all below it."""
        if self._tree.remove(path):
            self.changes = {each: entry for each, entry in self.changes.items() if not each.startswith(path + "/")}
            self.changes[path] = None

    def _target(self, destination: str) -> str:
        """Where the destination really is. Its parents are made, it too if it is written as a directory."""
        as_directory = destination.endswith("/") or posixpath.basename(destination) in (".", "..")
        path = inside(destination)
        if as_directory:
            place = self._tree.find(path).path
            self.make_directories(place)
        else:
            self.make_directories(self._tree.find(split(path)[0]).path)
            place = self._tree.find(path).path
        return place

    def _copy_contents(self, sources: SourceTree, source: str, target: str, relative: str) -> None:
        for name in sources.names(source):
            below = join(relative, name)
            excludes = self._options.excludes
            entry = sources.entry(join(source, name))
            if entry is None:
                continue
            is_directory = entry.kind is Kind.DIRECTORY
            if self._excluded(below):
                # What an exception brings back needs the excluded directory above it, made when it is met.
                if is_directory and excludes is not None and excludes.may_include_below(below):
                    self._copy_contents(sources, join(source, name), join(target, name), below)
                continue
            self._make_skipped_parents(sources, source, target)
            if is_directory:
                self._put_directory(join(target, name), entry, overwrite=True)
                self._copy_contents(sources, join(source, name), join(target, name), below)
            else:
                self._put_other(join(target, name), entry)

    def _make_skipped_parents(self, sources: SourceTree, source: str, target: str) -> None:
        if self._tree.is_directory(target):
            return
        self._make_skipped_parents(sources, split(source)[0], split(target)[0])
        above = sources.entry(source)
        assert above is not None
        self._put_directory(target, above, overwrite=True)

    def _put_directory(self, target: str, entry: Entry, *, overwrite: bool) -> None:
        existing = self._tree.entry(target)
        if existing is not None and existing.kind is not Kind.DIRECTORY:
            raise CopyConflict(f"cannot copy a directory to /{target}, which is not one")
        if existing is None or overwrite:
            self._note(target, self._changed(entry))

    def _put_other(self, target: str, entry: Entry) -> None:
        existing = self._tree.entry(target)
        if existing is not None and existing.kind is Kind.DIRECTORY:
            raise CopyConflict(f"cannot replace the directory /{target} by a file")
        self._note(target, self._changed(entry))

    def _changed(self, entry: Entry) -> Entry:
        """The entry with the owner, mode and time asked for; the same object for the same source."""
        known = self._made.get(id(entry))
        if known is not None:
            return known[1]
        options, changed = self._options, entry
        if options.owner is not None:
            changed = changed._replace(uid=options.owner[0], gid=options.owner[1])
        if options.mode is not None and entry.kind is not Kind.SYMLINK:
            changed = changed._replace(mode=options.mode(entry.mode, entry.kind is Kind.DIRECTORY))
        if options.time is not None:
            changed = changed._replace(mtime=options.time)
        if entry.kind is not Kind.DIRECTORY:
            self._made[id(entry)] = (entry, changed)  # holding both keeps the id from being used again
        return changed

    def _note(self, path: str, entry: Entry) -> None:
        self._tree.put(path, entry)
        self.changes[path] = entry

    def _excluded(self, path: str) -> bool:
        return self._options.excludes is not None and self._options.excludes.excludes(path)
