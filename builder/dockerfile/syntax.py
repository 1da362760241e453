"""What a Dockerfile says: one class an instruction, all immutable, nothing expanded.

The Dockerfile reference (https://docs.docker.com/reference/dockerfile/) names the instructions and their parts; the
fields here hold them as written, before variables and quotes are processed (`builder.dockerfile.expand` does that).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

_LEADING_TABS = re.compile(r"^\t+", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Location:
    """Lines of a file, counted from 1; `end_line` is the last one and includes heredocs."""

    path: str
    line: int
    end_line: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Instruction:
    """What all instructions have.

    Attributes:
        location: where it is; of a trigger, the FROM that set it off.
        text: the instruction as written, on one line: continuation lines joined, comments dropped, no heredoc bodies.
    """

    keyword: ClassVar[str] = ""
    location: Location
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class From(Instruction):
    """`name` is the stage's own name, lower-cased."""

    keyword: ClassVar[str] = "FROM"
    image: str
    name: str | None
    platform: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Arg(Instruction):
    """Names with their defaults; None where there is none."""

    keyword: ClassVar[str] = "ARG"
    pairs: tuple[tuple[str, str | None], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Env(Instruction):
    """`legacy` is the form ``ENV name value``."""

    keyword: ClassVar[str] = "ENV"
    pairs: tuple[tuple[str, str], ...]
    legacy: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Label(Instruction):
    """`legacy` is the form ``LABEL name value``."""

    keyword: ClassVar[str] = "LABEL"
    pairs: tuple[tuple[str, str], ...]
    legacy: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A command line: with `shell` one word, the line as written; without, the words of the JSON form (may be none)."""

    words: tuple[str, ...]
    shell: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Heredoc:
    """A document in the Dockerfile.

    Attributes:
        name: the delimiter without quotes; of COPY and ADD also the file's name.
        data: the lines as the file has them, each with its line end; bytes that are no UTF-8 as os.fsdecode has them.
        expand: the delimiter was not quoted.
        chomp: written ``<<-``.
        file_descriptor: the number before ``<<``, else 0.
    """

    name: str
    data: str
    expand: bool
    chomp: bool
    file_descriptor: int

    def content(self) -> str:
        """The document itself, without leading tabs if it was written ``<<-``."""
        return _LEADING_TABS.sub("", self.data) if self.chomp else self.data


@dataclass(frozen=True, slots=True, kw_only=True)
class Mount:
    """One ``RUN --mount``. Strings are as written until the instruction is expanded, and valid after it.

    Attributes:
        type: bind, cache, tmpfs, secret or ssh (as long as it has a variable: that text).
        sharing: shared, private or locked, for a cache.
        uid, gid: decimal numbers.
        mode: octal digits.
        size: bytes with an optional unit, for a tmpfs (see builder.dockerfile.mounts.size_in_bytes).
        env: the variable that a secret goes to.
        options: all options in order, for a later expansion; None is an option without ``=``.
    """

    type: str
    source: str | None = None
    target: str | None = None
    from_: str | None = None
    id: str | None = None
    sharing: str | None = None
    uid: str | None = None
    gid: str | None = None
    mode: str | None = None
    read_only: bool = True
    required: bool = False
    env: str | None = None
    size: str | None = None
    options: tuple[tuple[str, str | None], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Run(Instruction):
    """`network` is default, none or host; `security` sandbox or insecure; None where not given."""

    keyword: ClassVar[str] = "RUN"
    command: Command
    heredocs: tuple[Heredoc, ...] = ()
    mounts: tuple[Mount, ...] = ()
    network: str | None = None
    security: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Transfer(Instruction):
    """What COPY and ADD have in common. `heredocs` are the sources that are documents; they come after `sources`."""

    sources: tuple[str, ...]
    heredocs: tuple[Heredoc, ...] = ()
    destination: str
    chown: str | None = None
    chmod: str | None = None
    link: bool = False
    excludes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Copy(Transfer):
    """`from_` is a stage, an image or a named context, None for the build context; `parents` keeps the directories."""

    keyword: ClassVar[str] = "COPY"
    from_: str | None = None
    parents: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Add(Transfer):
    """`unpack` is None where the flag was not given: then it is yes for local archives and no for URLs."""

    keyword: ClassVar[str] = "ADD"
    checksum: str | None = None
    keep_git_dir: bool = False
    unpack: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Cmd(Instruction):
    """What a container runs, or the arguments of the entrypoint."""

    keyword: ClassVar[str] = "CMD"
    command: Command


@dataclass(frozen=True, slots=True, kw_only=True)
class Entrypoint(Instruction):
    """What a container runs."""

    keyword: ClassVar[str] = "ENTRYPOINT"
    command: Command


@dataclass(frozen=True, slots=True, kw_only=True)
class Shell(Instruction):
    """What the shell form of commands is given to."""

    keyword: ClassVar[str] = "SHELL"
    words: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Expose(Instruction):
    """`ports` are sorted as text, which is the order that the history of an image shows."""

    keyword: ClassVar[str] = "EXPOSE"
    ports: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Volume(Instruction):
    """Paths as written, one mount point each."""

    keyword: ClassVar[str] = "VOLUME"
    paths: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class User(Instruction):
    """``user``, ``user:group`` or numbers."""

    keyword: ClassVar[str] = "USER"
    user: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Workdir(Instruction):
    """An absolute path, or one relative to the directory so far."""

    keyword: ClassVar[str] = "WORKDIR"
    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StopSignal(Instruction):
    """A signal's name or number."""

    keyword: ClassVar[str] = "STOPSIGNAL"
    signal: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OnBuild(Instruction):
    """`trigger` is the instruction as it goes into the image's config, heredoc bodies included."""

    keyword: ClassVar[str] = "ONBUILD"
    trigger: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Healthcheck(Instruction):
    """`command` None is ``HEALTHCHECK NONE``. Durations are nanoseconds; 0 is not given, as is `retries` 0."""

    keyword: ClassVar[str] = "HEALTHCHECK"
    command: Command | None
    interval: int = 0
    timeout: int = 0
    start_period: int = 0
    start_interval: int = 0
    retries: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Maintainer(Instruction):
    """The author of the image; deprecated."""

    keyword: ClassVar[str] = "MAINTAINER"
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """A FROM and what follows it; `index` counts from 0, `name` is lower-cased."""

    index: int
    name: str | None
    base: From
    instructions: tuple[Instruction, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Warning_:  # noqa: N801 - the plain name is a built-in
    """Something to tell that does not stop a build; `name` is the build check's (see builder.dockerfile.lint)."""

    name: str
    location: Location
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Comment:
    """The comment lines right above an instruction, without ``#`` and outer blanks; `line` is the instruction's."""

    line: int
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Dockerfile:
    """A parsed file.

    Attributes:
        path: its name as the user gave it.
        directives: parser directives by lower-case name (``syntax``, ``escape``, ``check``).
        escape: the escape character, a backslash or a backtick.
        global_args: the ARGs before the first FROM.
        stages: at least one.
        warnings: what the parser noticed.
        comments: the comments directly above instructions.
    """

    path: str
    directives: Mapping[str, str]
    escape: str
    global_args: tuple[Arg, ...]
    stages: tuple[Stage, ...]
    warnings: tuple[Warning_, ...] = ()
    comments: tuple[Comment, ...] = ()
