"""The FileTree: a root filesystem as metadata.

Names resolve in it as they would in a container: symlinks are followed inside the root, ``..`` stops there. Paths are
relative, "" is the root. Directories are copied when first changed after a `fork`, so stages share what they have in
common; entries are immutable, and hardlinks are the same Entry object.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple, Protocol

from builder.errors import BuilderError
from builder.layer.changes import Changes
from builder.layer.entry import Entry, Kind
from builder.layer.paths import join, parents, split

_MAX_LINKS = 255
DEFAULT_DIRECTORY = Entry(Kind.DIRECTORY, 0o755)


class TooManyLinks(BuilderError):
    """A path that runs through too many symlinks, or round in a circle (ELOOP)."""

    def __init__(self, path: str) -> None:
        super().__init__(f"too many levels of symbolic links: /{path}")


class Directory:
    """A directory of a tree: its own entry, and its children by name. Changed only by the tree that owns it."""

    __slots__ = ("children", "entry", "owner")

    def __init__(self, entry: Entry, owner: object, children: dict[str, Entry | Directory] | None = None) -> None:
        self.entry = entry
        self.owner = owner
        self.children: dict[str, Entry | Directory] = {} if children is None else children


class Found(NamedTuple):
    """Where a path leads: its name without symlinks, and what is there (None if nothing)."""

    path: str
    entry: Entry | None


class SourceTree(Protocol):
    """What COPY needs of where it copies from: a FileTree, or a directory on disk seen as one."""

    def find(self, path: str, *, follow: bool = True) -> Found:
        """Resolve `path` inside the root; the last part is followed only if `follow`. Raises TooManyLinks."""
        ...

    def names(self, path: str) -> list[str]:
        """The sorted names in the directory `path`, which holds no symlinks; [] if it is none."""
        ...

    def entry(self, path: str) -> Entry | None:
        """What is at `path` literally, following nothing."""
        ...


def resolve(entry_at: Callable[[str], Entry | None], path: str, *, follow: bool = True) -> Found:
    """`SourceTree.find` for whoever can tell what is at a literal path. Raises TooManyLinks."""
    done, todo, links = "", [part for part in reversed(path.split("/")) if part and part != "."], 0
    while todo:
        name = todo.pop()
        if name == "..":
            done = split(done)[0]
            continue
        candidate = join(done, name)
        entry = entry_at(candidate)
        if entry is None or entry.kind is not Kind.SYMLINK or (not follow and not todo):
            done = candidate
            continue
        links += 1
        if links > _MAX_LINKS:
            raise TooManyLinks(path)
        if entry.link.startswith("/"):
            done = ""
        todo.extend(part for part in reversed(entry.link.split("/")) if part and part != ".")
    return Found(done, entry_at(done))


class FileTree:
    """A root filesystem as metadata. Not thread-safe; a fork may go to another thread."""

    def __init__(self, root: Entry = DEFAULT_DIRECTORY) -> None:
        self._owner = object()
        self._root = Directory(root, self._owner)

    def fork(self) -> FileTree:
        """A tree with the same content; changes to either do not show in the other. Takes no time."""
        other = FileTree()
        other._root = self._root
        self._owner = object()  # what is shared now belongs to neither
        return other

    # Reading

    def entry(self, path: str) -> Entry | None:
        """What is at `path` literally, None if nothing is or a part of it is no directory."""
        node = self._node(path)
        return node.entry if isinstance(node, Directory) else node

    def is_directory(self, path: str) -> bool:
        return self._directory(path) is not None

    def names(self, path: str) -> list[str]:
        """The sorted names in the directory `path`; [] if there is none."""
        directory = self._directory(path)
        return sorted(directory.children) if directory else []

    def children(self, path: str) -> Iterator[tuple[str, Entry]]:
        """The names and entries in the directory `path`, in no particular order."""
        directory = self._directory(path)
        for name, node in (directory.children if directory else {}).items():
            yield name, node.entry if isinstance(node, Directory) else node

    def find(self, path: str, *, follow: bool = True) -> Found:
        """Resolve `path` as a process chrooted to this tree would; what does not exist resolves to itself.

        Raises TooManyLinks.
        """
        return resolve(self.entry, path, follow=follow)

    def walk(self, path: str = "") -> Iterator[tuple[str, Entry]]:
        """Everything below `path` (not itself), sorted, parents before children."""
        directory = self._directory(path)
        if directory is not None:
            yield from _walk(path, directory)

    def _directory(self, path: str) -> Directory | None:
        node = self._node(path)
        return node if isinstance(node, Directory) else None

    def _node(self, path: str) -> Entry | Directory | None:
        node: Entry | Directory | None = self._root
        if path:
            for name in path.split("/"):
                if not isinstance(node, Directory):
                    return None
                node = node.children.get(name)
        return node

    # Changing

    def put(self, path: str, entry: Entry) -> None:
        """Put `entry` at `path`, whose parent directories are made (0755, root's) where they are missing.

        A directory put over a directory keeps its children; anything else replaces what was there with all below it.
        """
        if not path:
            self._own_root().entry = entry
            return
        parent_path, name = split(path)
        children = self._own(parent_path).children
        old = children.get(name)
        if entry.kind is not Kind.DIRECTORY:
            children[name] = entry
        elif isinstance(old, Directory):
            children[name] = Directory(
                entry, self._owner, old.children if old.owner is self._owner else {**old.children}
            )
        else:
            children[name] = Directory(entry, self._owner)

    def remove(self, path: str) -> bool:
        """Remove `path` with all below it; whether there was anything."""
        parent_path, name = split(path)
        if not name or self.entry(path) is None:
            return False
        del self._own(parent_path).children[name]
        return True

    def clear(self, path: str) -> None:
        """Remove everything below the directory `path`; nothing happens if it is none."""
        if self._directory(path) is not None:
            self._own(path).children.clear()

    def apply(self, changes: Changes) -> None:
        """Make `changes`. Raises nothing: what is removed need not exist."""
        for path in sorted(changes):
            entry = changes[path]
            if entry is None:
                self.remove(path)
            else:
                self.put(path, entry)

    def _own_root(self) -> Directory:
        if self._root.owner is not self._owner:
            self._root = Directory(self._root.entry, self._owner, {**self._root.children})
        return self._root

    def _own(self, path: str) -> Directory:
        """The directory `path`, made if missing, as one that this tree may change."""
        directory = self._own_root()
        if path:
            for name in path.split("/"):
                child = directory.children.get(name)
                if not isinstance(child, Directory):
                    child = directory.children[name] = Directory(DEFAULT_DIRECTORY, self._owner)
                elif child.owner is not self._owner:
                    child = directory.children[name] = Directory(child.entry, self._owner, {**child.children})
                directory = child
        return directory


def _walk(path: str, directory: Directory) -> Iterator[tuple[str, Entry]]:
    for name in sorted(directory.children):
        node = directory.children[name]
        below = join(path, name)
        if isinstance(node, Directory):
            yield below, node.entry
            yield from _walk(below, node)
        else:
            yield below, node


def with_parents(tree: FileTree, changes: Changes) -> dict[str, Entry | None]:
    """`changes` with the directories above each, as `tree` has them now (parents before children in every layer)."""
    complete: dict[str, Entry | None] = dict(changes)
    for path in changes:
        parent = split(path)[0]
        while parent and parent not in complete:
            complete[parent] = tree.entry(parent)
            parent = split(parent)[0]
    return complete


def merged(earlier: Mapping[str, Entry | None], later: Changes, before: FileTree) -> dict[str, Entry | None]:
    """The changes that, made to `before`, have the effect of `earlier` and then `later`."""
    result = dict(earlier)
    directories = {parent for path in earlier for parent in parents(path)}
    made_again = []
    for path in sorted(later):
        entry = later[path]
        if entry is not None and entry.kind is Kind.DIRECTORY:
            if path in earlier and not _is_directory(earlier[path]):
                made_again.append(path)
        elif path in directories:
            prefix = path + "/"
            for below in [each for each in result if each.startswith(prefix)]:
                del result[below]
        result[path] = entry
    for path in made_again:
        _remove_old(result, before, path)
    return result


def _remove_old(changes: dict[str, Entry | None], before: FileTree, path: str) -> None:
    """Remove what was in the directory `path` and is not made again."""
    for name, entry in before.children(path):
        below = join(path, name)
        if changes.setdefault(below, None) is not None and _is_directory(entry) and _is_directory(changes[below]):
            _remove_old(changes, before, below)


def _is_directory(entry: Entry | None) -> bool:
    return entry is not None and entry.kind is Kind.DIRECTORY
