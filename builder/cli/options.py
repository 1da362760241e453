"""The options of a command: its flags, parsed into types, in small groups."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from builder.context.spec import ContextSpec
from builder.engine.request import Provenance
from builder.engine.secret_sources import Confidential
from builder.image.media_types import Family
from builder.image.platform import Platform
from builder.image.reference import Reference
from builder.registry.policy import RegistryPolicy

Verbosity = Literal["panic", "fatal", "error", "warn", "info", "debug", "trace"]
LogFormat = Literal["text", "color", "json"]
ProgressKind = Literal["auto", "tty", "plain", "json"]
Isolation = Literal["auto", "namespace", "in-place"]


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageOptions:
    """How the builder talks. `log_format` None means: color on a terminal, else text."""

    verbosity: Verbosity = "info"
    log_format: LogFormat | None = None
    log_timestamp: bool = False
    progress: ProgressKind = "auto"


@dataclass(frozen=True, slots=True, kw_only=True)
class ContextOptions:
    spec: ContextSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class DockerfileOptions:
    """`name` as ``--dockerfile`` has it: a path, a URL or ``-``."""

    name: str = "Dockerfile"


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputOptions:
    """Where the image goes, and how it is written. Paths are absolute.

    Attributes:
        family: media types, None for the base's.
        compression_level: -1 for the algorithm's default.
        epoch: SOURCE_DATE_EPOCH, in seconds.
    """

    destinations: tuple[Reference, ...] = ()
    no_push: bool = False
    tar_path: Path | None = None
    oci_layout_path: Path | None = None
    digest_file: Path | None = None
    image_name_with_digest_file: Path | None = None
    image_name_tag_with_digest_file: Path | None = None
    metadata_file: Path | None = None
    provenance: Provenance | None = None
    family: Family | None = None
    compression: Literal["gzip", "zstd"] = "gzip"
    compression_level: int = -1
    reproducible: bool = False
    epoch: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryOptions:
    """How registries are talked to.

    Attributes:
        credential_helpers: None for all of them, () for none.
        ignore_immutable_tags: a tag that exists and may not change is no error.
        check_permission: whether to ask before the build if the push will be allowed.
    """

    policy: RegistryPolicy
    credential_helpers: tuple[str, ...] | None = None
    ignore_immutable_tags: bool = False
    check_permission: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheOptions:
    """The caches of layers and base images, and what CI carries.

    Attributes:
        local: whether layers are kept on this machine.
        unasked: ``--no-cache``: nothing is taken from any cache of layers, though still stored.
        unasked_stages: names of the stages of which that is true.
        enabled: ``--cache``: layers are looked up and stored in `place`.
        repository: as it was given.
        place: the repository of the cached layers, or the directory that is one; None if none was named, and there is
            no destination to infer it from.
        directory: of base images; `directory_given` if a flag says so, and then of cache mounts, too.
        ttl: nanoseconds.
    """

    local: bool = True
    unasked: bool = False
    unasked_stages: frozenset[str] = frozenset()
    enabled: bool = False
    repository: str = ""
    place: Reference | Path | None = None
    directory: Path = Path("/cache")
    directory_given: bool = False
    ttl: int = 336 * 3600 * 10**9
    copy_layers: bool = False
    run_layers: bool = True
    compressed: bool = True
    push: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class InPlaceOptions:
    """What only in-place isolation knows.

    Attributes:
        directory: the builder's own (``--kaniko-dir``).
    """

    directory: Path = Path("/kaniko")
    force: bool = False
    cleanup: bool = False
    pre_cleanup: bool = False
    preserve_context: bool = False
    materialize: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildOptions:
    """All of ``builder build``.

    Attributes:
        build_args: values from the environment and the proxies of config.json filled in.
        targets: stages to build; the first is the image.
        ignore_paths: left out of snapshots.
        notes: to be said at debug level.
        profile: where to write the trace.
    """

    context: ContextOptions
    dockerfile: DockerfileOptions
    output: OutputOptions
    registry: RegistryOptions
    cache: CacheOptions
    in_place: InPlaceOptions
    build_args: Mapping[str, str]
    labels: Mapping[str, str]
    contexts: Mapping[str, str]
    annotations: Mapping[str, str]
    targets: tuple[str, ...]
    platforms: tuple[Platform, ...]
    isolation: Isolation
    snapshot_mode: Literal["full", "redo", "time"]
    single_snapshot: bool
    ignore_paths: tuple[str, ...]
    state_dir: Path
    confidential: Confidential
    dry_run: bool
    check: bool
    network: Literal["default", "none", "host"] = "default"
    notes: tuple[str, ...] = ()
    profile: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PushOptions:
    """All of ``builder push``; `source` is ``PATH`` or ``PATH:NAME``."""

    source: str
    output: OutputOptions
    registry: RegistryOptions
    state_dir: Path
    notes: tuple[str, ...] = ()
