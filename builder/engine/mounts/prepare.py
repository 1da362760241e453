"""From the mounts of a RUN to what the isolation mounts."""

from __future__ import annotations

import posixpath
import secrets
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from builder.dockerfile.errors import DockerfileError
from builder.dockerfile.mounts import size_in_bytes
from builder.dockerfile.syntax import Mount, Run
from builder.engine.mounts.agent import forwarded_agent
from builder.engine.mounts.caches import CacheMounts
from builder.engine.mounts.source_directory import directory_of
from builder.engine.secret_sources import Confidential
from builder.isolation.command import Bind, SecretFile, Tmpfs
from builder.layer.paths import inside
from builder.rootfs.directory import Ownership
from builder.rootfs.tree import FileTree, SourceTree

_SECRETS = "/run/secrets"
_AGENTS = "/run/buildkit/ssh_agent"


@dataclass(frozen=True, slots=True, kw_only=True)
class MountSources:
    """What mounts are made of.

    Attributes:
        tree: gives the tree of ``from=``, the context's for None; waits for a stage.
        context: the context's directory, None if some of its files are excluded, so that it cannot be mounted itself.
        caches: the cache mounts of this machine.
        scratch: a directory of this build.
    """

    tree: Callable[[str | None], SourceTree]
    context: Path | None
    caches: CacheMounts
    confidential: Confidential
    environment: dict[str, str]
    ownership: Ownership
    scratch: Path


@dataclass(slots=True, kw_only=True)
class Mounted:
    """What a command gets: mounts in order, and variables."""

    mounts: list[Bind | Tmpfs | SecretFile] = field(default_factory=list)
    environment: dict[str, str] = field(default_factory=dict)


@contextmanager
def prepared(instruction: Run, working_dir: str, sources: MountSources) -> Iterator[Mounted]:
    """Make ready what the mounts of `instruction` need, for as long as the block lasts.

    Raises DockerfileError for what cannot be mounted, ContextError, StorageError, UsageError.
    """
    with ExitStack() as stack:
        work = _Preparation(instruction, working_dir, sources, stack)
        for mount in instruction.mounts:
            work.add(mount)
        yield work.mounted


class _Preparation:
    def __init__(self, instruction: Run, working_dir: str, sources: MountSources, stack: ExitStack) -> None:
        self._instruction, self._working_dir = instruction, working_dir
        self._sources, self._stack = sources, stack
        self._agents = 0
        self.mounted = Mounted()

    def add(self, mount: Mount) -> None:
        kinds = {
            "bind": self._bind,
            "cache": self._cache,
            "tmpfs": self._tmpfs,
            "secret": self._secret,
            "ssh": self._ssh,
        }
        kinds[mount.type](mount)

    def _target(self, mount: Mount) -> str:
        """The target as an absolute path; without one it is the working directory."""
        target = "/" + inside(posixpath.join(self._working_dir or "/", mount.target or "."))
        if target == "/":
            raise DockerfileError.at(self._instruction, f'invalid mount target "{mount.target or "/"}"', "--mount")
        return target

    def _bind(self, mount: Mount) -> None:
        target = self._target(mount)
        directory = self._sources.context if mount.from_ is None and mount.read_only else None
        if directory is not None:
            tree = self._sources.tree(None)
            found = tree.find(inside(mount.source or "/"))
            if found.entry is None:
                raise self._missing(mount)
            source = f"{directory}/{found.path}" if found.path else str(directory)
        else:
            source = self._copied(mount)
        self.mounted.mounts.append(Bind(target=target, source=source, read_only=mount.read_only))

    def _copied(self, mount: Mount) -> str:
        """A copy of what is to be mounted, which the command may change."""
        tree = self._sources.tree(mount.from_)
        place = self._sources.scratch / f"mount-{secrets.token_hex(6)}"
        found = directory_of(tree, inside(mount.source or "/"), place, self._sources.ownership)
        if found is None:
            raise self._missing(mount)
        return str(found)

    def _missing(self, mount: Mount) -> DockerfileError:
        where = f"in {mount.from_}" if mount.from_ else "in the context"
        return DockerfileError.at(
            self._instruction, f'"/{inside(mount.source or "/")}" not found {where}', mount.source or "--mount"
        )

    def _cache(self, mount: Mount) -> None:
        target = self._target(mount)
        tree = self._sources.tree(mount.from_) if mount.from_ else FileTree()
        directory = self._stack.enter_context(self._sources.caches.held(mount, tree))
        if directory is None:
            raise DockerfileError.at(
                self._instruction, f'"/{inside(mount.source or "/")}" not found in the cache', mount.source or "--mount"
            )
        self.mounted.mounts.append(Bind(target=target, source=str(directory), read_only=mount.read_only))

    def _tmpfs(self, mount: Mount) -> None:
        size = size_in_bytes(mount.size) if mount.size else None
        self.mounted.mounts.append(Tmpfs(target=self._target(mount), size=size))

    def _secret(self, mount: Mount) -> None:
        name = mount.id or mount.source or posixpath.basename(mount.target or "") or mount.env or ""
        source = self._sources.confidential.secrets.get(name)
        if source is None:
            if mount.required:
                raise DockerfileError.at(
                    self._instruction,
                    f"the secret {name!r} is required",
                    name,
                    f"give it with --secret id={name},src=FILE",
                )
            return
        data = source.read(name, self._sources.environment)
        if mount.env:
            self.mounted.environment[mount.env] = data.decode("utf-8", "surrogateescape")
            if mount.target is None:
                return
        target = "/" + inside(posixpath.join(_SECRETS, mount.target or posixpath.basename(name)))
        self.mounted.mounts.append(
            SecretFile(
                target=target,
                content=data,
                mode=int(mount.mode or "0400", 8),
                uid=int(mount.uid or 0),
                gid=int(mount.gid or 0),
            )
        )

    def _ssh(self, mount: Mount) -> None:
        name = mount.id or "default"
        target = mount.target or f"{_AGENTS}.{self._agents}"
        self._agents += 1
        self.mounted.environment.setdefault("SSH_AUTH_SOCK", target)
        agent = self._sources.confidential.agents.get(name)
        if agent is None:
            if mount.required:
                raise DockerfileError.at(
                    self._instruction, f"the SSH agent {name!r} is required", name, f"give it with --ssh {name}=SOCKET"
                )
            return
        mode = int(mount.mode or "0600", 8)
        place = self._sources.scratch / f"agent-{secrets.token_hex(6)}"
        owner = (int(mount.uid or 0), int(mount.gid or 0)) if self._sources.ownership.owners else None
        self._stack.enter_context(forwarded_agent(agent, place, mode, owner))
        self.mounted.mounts.append(Bind(target=target, source=str(place)))
