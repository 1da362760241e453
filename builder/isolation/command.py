"""What is to run, as whom, and on which root filesystem."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

DEFAULT_HOSTNAME = "buildkitsandbox"


@dataclass(frozen=True, slots=True, kw_only=True)
class OverlayRoot:
    """A root filesystem of layers with a writable directory on top (overlayfs).

    Attributes:
        lowers: the layers, topmost first, absolute directories; there may be none.
        upper: gets what the command changes, in overlayfs' own form: whiteouts are character devices 0:0, a directory
            that hides those below it has the xattr ``overlay.opaque`` (``user.`` or ``trusted.`` before it).
        work: an empty directory on the filesystem of `upper`.
    """

    lowers: tuple[str, ...]
    upper: str
    work: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DirectoryRoot:
    """A root filesystem that is one directory, changed in place."""

    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Bind:
    """A file or directory of the machine that is seen at `target` while the command runs.

    `target` is resolved inside the root filesystem, whatever links that contains, and may be missing there.
    """

    target: str
    source: str
    read_only: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Tmpfs:
    """An empty filesystem in memory at `target`; `size` in bytes, None for the kernel's limit."""

    target: str
    size: int | None = None
    mode: int = 0o1777


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretFile:
    """A read-only file that exists in memory alone, and only while the command runs."""

    target: str
    content: bytes = field(repr=False)
    mode: int = 0o400
    uid: int = 0
    gid: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """One command of a RUN.

    Attributes:
        argv: the program, looked up in the PATH of `env` unless it has a slash, and its arguments.
        env: its whole environment, each ``NAME=value``.
        cwd: made if it is missing (root's, 0755), relative to ``/``.
        uid, gid, groups: as the image has them, i.e. inside the user namespace.
        mounts: made in this order.
        network: ``host`` for the builder's own, ``none`` for a loopback device alone.
        hostname: None for the one that BuildKit gives.
    """

    argv: tuple[str, ...]
    env: tuple[str, ...]
    cwd: str
    uid: int
    gid: int
    groups: tuple[int, ...]
    root: OverlayRoot | DirectoryRoot
    mounts: tuple[Bind | Tmpfs | SecretFile, ...] = ()
    network: Literal["host", "none"] = "host"
    hostname: str | None = None
