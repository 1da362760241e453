"""What ``--context`` says: kinds of sources and how they are written."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import urlsplit, urlunsplit

from builder.errors import ContextError, NotSupportedYet, UsageError

ContextKind = Literal["directory", "tar", "stdin", "git", "archive-url"]

_OBJECT_STORES = ("s3://", "gs://")
_AZURE = re.compile(r"https://[^/]+\.blob\.core\.(?:windows\.net|chinacloudapi\.cn|usgovcloudapi\.net|cloudapi\.de)/")
_GIT_PATH = re.compile(r"\.git/?$")
_GIT_HOSTS = ("github.com", "gitlab.com", "bitbucket.org")


@dataclass(frozen=True, slots=True, kw_only=True)
class GitOptions:
    """``--git``, as kaniko has it.

    Attributes:
        branch: branch to take where the URL names no reference; "" for the remote's HEAD.
        single_branch: fetch no other branch.
        depth: number of commits of history, 0 for all.
        recurse_submodules: check out submodules, too.
        insecure_skip_tls: do not verify the server's certificate.
    """

    branch: str = ""
    single_branch: bool = False
    depth: int = 0
    recurse_submodules: bool = False
    insecure_skip_tls: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ContextSpec:
    """A parsed ``--context``.

    Attributes:
        kind: what `location` is.
        location: a path, or a URL without its fragment; it may hold a password, `description` does not.
        reference: of git: branch, tag or full reference; "" for the default.
        commit: of git: the commit to check out; "" for the tip of the reference.
        sub_path: directory below the context's root to use as the context.
    """

    kind: ContextKind
    location: str = ""
    reference: str = ""
    commit: str = ""
    sub_path: str = ""
    git: GitOptions = field(default_factory=GitOptions)

    @classmethod
    def parse(cls, text: str, *, sub_path: str = "", git: GitOptions | None = None) -> ContextSpec:
        """Parse what ``--context`` takes: a directory, ``dir://``, ``tar://FILE``, ``tar://stdin``, a git URL with
        ``#reference#commit`` (kaniko) or ``#reference:directory`` (BuildKit), or the URL of an archive.

        Raises UsageError, NotSupportedYet (object stores).
        """
        git = git or GitOptions()
        if not text:
            raise UsageError("--context is empty", hint="name a directory, an archive or a git repository")
        if text.startswith(_OBJECT_STORES) or _AZURE.match(text):
            raise NotSupportedYet(f"a context in an object store ({without_password(text)})")
        if text.startswith("tar://"):
            return _tar(text.removeprefix("tar://"), sub_path)
        if text.startswith("dir://") or "://" not in text:
            return cls(kind="directory", location=text.removeprefix("dir://"), sub_path=sub_path)
        return _url(text, sub_path, git)

    @property
    def description(self) -> str:
        """For people; without credentials."""
        if self.kind == "stdin":
            return "the archive on standard input"
        text = without_password(self.location)
        return text + "".join(f"#{part}" for part in (self.reference, self.commit) if part)


def without_password(url: str) -> str:
    """`url` without user and password."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return re.sub(r"//[^/]*@", "//", url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2])) if "@" in parts.netloc else url


def _tar(path: str, sub_path: str) -> ContextSpec:
    if path == "stdin":
        return ContextSpec(kind="stdin", sub_path=sub_path)
    if not path:
        raise UsageError("--context tar:// names no file", hint="write tar://FILE or tar://stdin")
    return ContextSpec(kind="tar", location=path, sub_path=sub_path)


def _url(text: str, sub_path: str, git: GitOptions) -> ContextSpec:
    url, _, fragment = text.partition("#")
    scheme = url.partition("://")[0].lower()
    if scheme not in ("git", "http", "https", "ssh"):
        raise UsageError(
            f"--context {without_password(url)!r}: {scheme}:// is not a kind of context",
            hint="directories, dir://, tar://, git://, https:// and ssh:// are",
        )
    if scheme in ("http", "https") and not _is_git(url):
        return ContextSpec(kind="archive-url", location=text, sub_path=sub_path)
    reference, _, rest = fragment.partition("#")
    reference, _, directory = reference.partition(":")
    if directory and sub_path:
        raise UsageError("the context's URL names a directory, and so does --context-sub-path", hint="use one of them")
    _check_git(reference, rest)
    return ContextSpec(
        kind="git", location=url, reference=reference, commit=rest, sub_path=directory or sub_path, git=git
    )


def _is_git(url: str) -> bool:
    parts = urlsplit(url)
    segments = [part for part in parts.path.split("/") if part]
    return bool(_GIT_PATH.search(parts.path)) or (parts.hostname in _GIT_HOSTS and len(segments) == 2)


def _check_git(reference: str, commit: str) -> None:
    if reference.startswith("-") or re.search(r"[\s\x00-\x1f\\^~?*\[]|\.\.", reference):
        raise ContextError(f"{reference!r} is not a git reference")
    if commit and not re.fullmatch("[0-9a-fA-F]{7,64}", commit):
        raise ContextError(f"{commit!r} is not a git commit", hint="a git context is URL#reference#commit")
