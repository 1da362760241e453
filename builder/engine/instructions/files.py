"""COPY and ADD: files from the context, a stage, an image or the Dockerfile itself."""

from __future__ import annotations

import posixpath
from contextlib import AbstractContextManager

from builder.context.git_source import GitSource
from builder.dockerfile.errors import DockerfileError
from builder.dockerfile.globs import has_wildcards
from builder.dockerfile.ignore import IgnoreRules
from builder.dockerfile.syntax import Add, Copy, Heredoc, Transfer
from builder.engine.copying.archives import Unpacking, is_archive, unpack
from builder.engine.copying.copier import Copier, CopyOptions
from builder.engine.copying.modes import octal_mode, parse_mode
from builder.engine.copying.sources import matches, matches_below
from builder.engine.instructions.remote import Surroundings, git_tree, is_remote, url_tree
from builder.engine.stage import Stage
from builder.engine.users import file_owner
from builder.layer.changes import Changes
from builder.layer.entry import BytesContent, Entry, Kind
from builder.layer.paths import inside, split
from builder.rootfs.disk_tree import DiskTree
from builder.rootfs.tree import FileTree, with_parents


def transfer(
    stage: Stage, instruction: Copy | Add, around: Surroundings, lock: AbstractContextManager[object]
) -> Changes:
    """Copy, and note it in the stage. Returns the layer's changes. Raises BuilderError.

    `lock` is held while the sources of `around` are read, and not while something is fetched.
    """
    # BuildKit ignores --link where --chmod is given, and so the image is another.
    linked = instruction.link and instruction.chmod is None
    tree = FileTree() if linked else stage.tree
    options = _options(stage, instruction, around)
    copier = Copier(tree, options)
    copying = _Transfer(stage, instruction, around, tree, copier, options)
    copying.prepare()
    with lock:
        copying.run()
    stage.note(created_by(instruction), empty_layer=False)
    if not linked:
        return stage.changed(copier.changes)
    changes = with_parents(tree, copier.changes)
    stage.linked(changes)
    return changes


def _options(stage: Stage, instruction: Transfer, around: Surroundings) -> CopyOptions:
    chmod = instruction.chmod
    octal = octal_mode(chmod) if chmod else None
    return CopyOptions(
        owner=file_owner(stage.tree, instruction.chown) if instruction.chown else None,
        mode=parse_mode(chmod) if chmod else None,
        parent_mode=0o755 if octal is None else octal,
        time=around.time,
        now=stage.created,
        excludes=IgnoreRules.of(instruction.excludes) if instruction.excludes else None,
    )


def created_by(instruction: Copy | Add) -> str:
    """What the history says of it."""
    words = [instruction.keyword]
    if isinstance(instruction, Copy) and instruction.parents:
        words.append("--parents")
    if instruction.chown:
        words.append(f"--chown={instruction.chown}")
    if instruction.chmod:
        words.append(f"--chmod={instruction.chmod}")
    words += instruction.sources
    words += [f"<<{heredoc.name}" for heredoc in instruction.heredocs]
    return " ".join([*words, instruction.destination, "# buildkit"])


class _Transfer:
    """One COPY or ADD on its way."""

    def __init__(
        self,
        stage: Stage,
        instruction: Copy | Add,
        around: Surroundings,
        tree: FileTree,
        copier: Copier,
        options: CopyOptions,
    ) -> None:
        self._stage, self._instruction, self._around = stage, instruction, around
        self._tree, self._copier, self._options = tree, copier, options
        self._destination = _absolute(stage.config.working_dir, instruction.destination)

    def prepare(self) -> None:
        """Check the instruction, and fetch what is elsewhere. Raises BuilderError."""
        instruction = self._instruction
        self._check_checksum()
        if len(instruction.sources) + len(instruction.heredocs) > 1 and not self._destination.endswith("/"):
            raise DockerfileError.at(
                instruction,
                f"the destination of more than one source must be a directory: {instruction.destination!r}",
                instruction.destination,
                "end it with a slash",
            )
        for source in instruction.sources:
            if is_remote(source):
                self._fetch(source)

    def run(self) -> None:
        instruction = self._instruction
        for source in instruction.sources:
            if is_remote(source):
                self._remote(source)
            elif isinstance(instruction, Copy) and instruction.parents:
                self._copy_with_parents(source)
            else:
                self._copy(source)
        for heredoc in instruction.heredocs:
            self._copier.copy(self._document(heredoc), inside(heredoc.name), self._destination)

    def _check_checksum(self) -> None:
        checksum = self._instruction.checksum if isinstance(self._instruction, Add) else None
        if not checksum:
            return
        if len(self._instruction.sources) != 1 or self._instruction.heredocs:
            raise DockerfileError.at(self._instruction, "--checksum takes a single source", "--checksum")
        if not is_remote(self._instruction.sources[0]):
            raise DockerfileError.at(self._instruction, "--checksum takes a URL or a git repository", "--checksum")

    def _fetch(self, source: str) -> None:
        """Get it; from now on it is at hand."""
        if isinstance(self._instruction, Copy):
            raise DockerfileError.at(self._instruction, "the source of COPY can't be a URL", source, "use ADD")
        if (git := GitSource.parse(source)) is not None:
            git_tree(git, self._instruction, self._around)
        else:
            url_tree(source, self._instruction, self._around)

    def _remote(self, source: str) -> None:
        assert isinstance(self._instruction, Add)
        if (git := GitSource.parse(source)) is not None:
            self._copier.copy(git_tree(git, self._instruction, self._around), "", self._destination)
            return
        tree, name = url_tree(source, self._instruction, self._around)
        entry = tree.entry(name)
        assert entry is not None
        # Unlike a local archive, one behind a URL is unpacked only on demand.
        if self._instruction.unpack and entry.content is not None and is_archive(entry.content):
            self._unpack(entry, name)
        else:
            self._copier.copy(tree, name, self._destination)

    def _copy(self, source: str) -> None:
        found = matches(self._around.sources, source)
        for path in found:
            entry = self._around.sources.find(path).entry
            if entry is None:
                if has_wildcards(source):
                    continue  # a link to nowhere
                raise self._missing(source, path)
            if self._is_to_unpack(entry):
                self._unpack(entry, path)
            else:
                self._copier.copy(self._around.sources, path, self._destination)

    def _copy_with_parents(self, source: str) -> None:
        pivot, found, pattern = source.partition("/./")
        if not found:
            pivot, pattern = "", source
        root = self._around.sources.find(inside(pivot)).path
        for path in matches_below(self._around.sources, root, pattern):
            found_path = f"{root}/{path}" if root and path else root or path
            if self._around.sources.entry(found_path) is None:
                raise self._missing(source, found_path)
            self._copier.copy_with_parents(self._around.sources, root, path, self._destination)

    def _is_to_unpack(self, entry: Entry) -> bool:
        instruction = self._instruction
        if not isinstance(instruction, Add) or instruction.unpack is False or entry.kind is not Kind.FILE:
            return False
        return entry.content is not None and is_archive(entry.content)

    def _unpack(self, entry: Entry, path: str) -> None:
        assert entry.content is not None
        target = self._tree.find(inside(self._destination)).path
        self._copier.make_directories(target)
        how = Unpacking(owner=self._options.owner, time=self._around.time, scratch=self._around.scratch)
        unpack(entry.content, path, self._copier, self._tree, target, how)

    def _document(self, heredoc: Heredoc) -> FileTree:
        data = heredoc.content().encode("utf-8", "surrogateescape")
        time = self._stage.created if self._around.time is None else self._around.time
        tree = FileTree()
        entry = Entry(Kind.FILE, 0o644, size=len(data), mtime=time, content=BytesContent(data))
        tree.put(inside(heredoc.name), entry)
        return tree

    def _missing(self, source: str, path: str) -> DockerfileError:
        sources, hint = self._around.sources, None
        if isinstance(sources, DiskTree):
            where = "in the context"
            if sources.is_ignored(path):
                hint = "it is there, but excluded by .dockerignore"
        else:
            where = f"in {getattr(self._instruction, 'from_', None)}"
        if hint is None:
            from difflib import get_close_matches

            parent, name = split(path)
            near = get_close_matches(name, sources.names(parent), 1)
            hint = f"did you mean {posixpath.join(parent, near[0])}?" if near else None
        return DockerfileError.at(self._instruction, f'"/{path}" not found {where}', source, hint)


def _absolute(working_dir: str, destination: str) -> str:
    """The destination as an absolute path; one that means a directory keeps or gets a slash at its end."""
    is_directory = destination.endswith("/") or posixpath.basename(destination) in ("", ".", "..")
    path = "/" + inside(posixpath.join(working_dir or "/", destination))
    return path.rstrip("/") + "/" if is_directory else path
