"""Git repositories as sources of ADD (Dockerfile reference, "Adding files from a Git repository").

A source is ``https://host/repo.git#reference:directory``, or the same with ``git://``, ``ssh://`` or ``user@host:``.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from builder.context.git import git_hint, without_passwords
from builder.context.git_network import git_surroundings
from builder.context.spec import without_password
from builder.errors import ContextError
from builder.registry.network import Network

_TIMEOUT = 3600.0
_HTTP = re.compile(r"https?://[^#]+\.git(?:#.*)?")
_SSH = re.compile(r"[A-Za-z0-9_.-]+@[A-Za-z0-9.-]+:[^#]+(?:#.*)?")
_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class GitSource:
    """A repository and what is wanted of it.

    Attributes:
        reference: branch, tag or commit; "" for the default branch.
        directory: below the root of the repository; "" for all of it.
    """

    remote: str
    reference: str = ""
    directory: str = ""

    @classmethod
    def parse(cls, text: str) -> GitSource | None:
        """None if `text` is no git URL: ``http(s)`` ones must end in ``.git``."""
        if not (_HTTP.fullmatch(text) or _SSH.fullmatch(text) or text.startswith(("git://", "ssh://"))):
            return None
        remote, _, fragment = text.partition("#")
        reference, _, directory = fragment.partition(":")
        return cls(remote=remote, reference=reference, directory=directory.strip("/"))


def check_out_source(
    source: GitSource,
    target: Path,
    environment: Mapping[str, str],
    network: Network,
    *,
    keep_git_dir: bool,
    checksum: str | None,
) -> Path:
    """Fetch `source` into the new directory `target`, submodules too, and return the directory that is wanted.

    Only the commit itself is fetched. Raises ContextError, also if the commit is not `checksum`.
    """
    shown = without_password(source.remote)
    target.mkdir(parents=True)
    with git_surroundings(source.remote, environment, network, target.parent) as surroundings:
        _fetch(source, target, _Git(target, surroundings, shown), checksum)
    if not keep_git_dir:
        shutil.rmtree(target / ".git")
    wanted = target / source.directory
    if not wanted.is_dir() or not os.path.realpath(wanted).startswith(os.path.realpath(target)):
        raise ContextError(f"{shown} has no directory {source.directory}")
    return wanted


def _fetch(source: GitSource, target: Path, git: _Git, checksum: str | None) -> None:
    shown = without_password(source.remote)
    git.run("init", "--quiet", ".")
    git.run("remote", "add", "origin", shown)
    reference = source.reference or "HEAD"
    git.run("fetch", "--quiet", "--depth=1", "--no-tags", "origin", reference, instead=_whole(reference))
    git.run("checkout", "--quiet", "--detach", reference if _COMMIT.fullmatch(reference) else "FETCH_HEAD")
    commit = git.run("rev-parse", "HEAD")
    if checksum and not commit.startswith(checksum):
        raise ContextError(f"{shown} is at commit {commit}, not {checksum}")
    if (target / ".gitmodules").exists():
        git.run("submodule", "--quiet", "update", "--init", "--recursive", "--depth=1")


def _whole(reference: str) -> tuple[str, ...] | None:
    """What to fetch where a server does not give a single commit: all branches."""
    if not _COMMIT.fullmatch(reference):
        return None
    return ("fetch", "--quiet", "origin", "+refs/heads/*:refs/remotes/origin/*", "+refs/tags/*:refs/tags/*")


class _Git:
    def __init__(self, directory: Path, environment: Mapping[str, str], what: str) -> None:
        self._directory, self._what = directory, what
        self._environment = dict(environment)

    def run(self, *arguments: str, instead: tuple[str, ...] | None = None) -> str:
        from builder.process import run

        done = run(
            ["git", "-c", "core.hooksPath=/dev/null", *arguments],
            env=self._environment,
            timeout=_TIMEOUT,
            cwd=self._directory,
        )
        if done.status and instead is not None:
            return self.run(*instead)
        if done.status:
            message = without_passwords(done.stderr.decode(errors="replace").strip())
            what = f"git {arguments[0]} of {self._what} failed: {message or f'status {done.status}'}"
            raise ContextError(what, hint=git_hint(message))
        return done.stdout.decode(errors="replace").strip()
