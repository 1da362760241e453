"""Sources of ADD that are elsewhere: URLs and git repositories, as trees."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from builder.context.git_source import GitSource, check_out_source
from builder.digest import Digest
from builder.dockerfile.errors import DockerfileError
from builder.dockerfile.syntax import Add
from builder.errors import InvalidReference
from builder.layer.entry import Entry, FileContent, Kind
from builder.layer.paths import inside
from builder.registry.network import Network
from builder.rootfs.disk_tree import DiskTree
from builder.rootfs.tree import FileTree, SourceTree

_URLS = ("http://", "https://")


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What COPY and ADD have around them.

    Attributes:
        sources: the tree that is copied from.
        time: SOURCE_DATE_EPOCH, None if not set.
        scratch: a directory for what is downloaded or unpacked on the way.
        environment: of programs that fetch (git).
        network: how other hosts are reached.
        fetched: by source, what has been fetched already.
    """

    sources: SourceTree
    time: int | None
    scratch: Path
    environment: Mapping[str, str]
    network: Network
    fetched: dict[str, tuple[SourceTree, str]] = field(default_factory=dict)


def is_remote(source: str) -> bool:
    """Whether a source is a URL or a git repository."""
    return source.startswith(_URLS) or GitSource.parse(source) is not None


def url_tree(url: str, instruction: Add, around: Surroundings) -> tuple[SourceTree, str]:
    """A tree with the file that `url` gives, mode 0600, and the file's name in it. Raises ContextError."""
    if url not in around.fetched:
        around.fetched[url] = _downloaded(url, instruction, around)
    return around.fetched[url]


def _downloaded(url: str, instruction: Add, around: Surroundings) -> tuple[SourceTree, str]:
    from builder.context.remote_file import fetch

    checksum = None
    if instruction.checksum:
        try:
            checksum = Digest.parse(instruction.checksum)
        except InvalidReference as error:
            raise DockerfileError.at(instruction, error.message, instruction.checksum, error.hint) from None
    file = fetch(url, around.scratch, around.network, checksum)
    tree, name = FileTree(), inside(file.name)
    content = FileContent(str(file.path))
    tree.put(name, Entry(Kind.FILE, 0o600, size=file.size, mtime=file.mtime, content=content))
    return tree, name


def git_tree(source: GitSource, instruction: Add, around: Surroundings) -> SourceTree:
    """The files of a repository, without ``.git`` unless that is to be kept. Raises ContextError."""
    name = f"{source.remote}#{source.reference}:{source.directory}"
    if name not in around.fetched:
        around.fetched[name] = _cloned(source, instruction, around), ""
    return around.fetched[name][0]


def _cloned(source: GitSource, instruction: Add, around: Surroundings) -> SourceTree:
    target = around.scratch / f"git-{secrets.token_hex(8)}"
    wanted = check_out_source(
        source,
        target,
        around.environment,
        around.network,
        keep_git_dir=instruction.keep_git_dir,
        checksum=instruction.checksum,
    )
    return DiskTree(str(wanted))
