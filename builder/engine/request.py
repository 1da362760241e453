"""What a build is asked for: flags and files, already parsed into types."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from builder.engine.secret_sources import Confidential
from builder.image.media_types import Family
from builder.image.platform import Platform
from builder.image.reference import Reference


@dataclass(frozen=True, slots=True, kw_only=True)
class Outputs:
    """Where the image goes. Paths are written when the build has succeeded; None means not at all.

    Attributes:
        destinations: pushed to, in this order, when `push`; named in the archive and layout in any case.
        digest_file: gets the manifest's digest, or the index's.
        image_name_with_digest_file: gets a line ``name@digest`` for each destination.
        image_name_tag_with_digest_file: gets a line ``name:tag@digest`` for each destination.
        metadata_file: gets BuildKit's JSON of the result.
    """

    destinations: tuple[Reference, ...] = ()
    push: bool = True
    tar_path: Path | None = None
    oci_layout_path: Path | None = None
    digest_file: Path | None = None
    image_name_with_digest_file: Path | None = None
    image_name_tag_with_digest_file: Path | None = None
    metadata_file: Path | None = None
    check_permission: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageFormat:
    """How the image's new parts are written.

    Attributes:
        family: media types; None means the base's.
        level: of the compressor, -1 for its default.
        epoch: seconds since the epoch (SOURCE_DATE_EPOCH) for created and as the latest mtime; None for now.
        reproducible: the same input gives the same bytes: created and history at `epoch` (0 if None).
    """

    family: Family | None = None
    compression: Literal["gzip", "zstd"] = "gzip"
    level: int = -1
    epoch: int | None = None
    reproducible: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """That the image gets an attestation of how it was built.

    Attributes:
        builder_id: URI of who builds; "" for nobody in particular.
    """

    builder_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildRequest:
    """One build.

    Attributes:
        context: the directory that COPY and ADD read from.
        dockerfile: the text of the Dockerfile; `dockerfile_path` is its name in messages.
        ignore: the text of the .dockerignore that applies, None if there is none.
        build_args: ``--build-arg``, values from the environment and proxies filled in.
        contexts: ``--build-context``: sources by name.
        targets: stages to build; the first is what is exported. Empty: the last stage.
        platform: what is built for; if there are several `platforms`, the first.
        platforms: more than one makes an index of an image for each.
        network: of commands that name none: default, none or host.
        materialize: write the image's files to the container's root, if the build is in place.
        dry_run: only print the plan.
        check: only check the Dockerfile.
        no_cache: nothing is taken from caches, though still stored.
        no_cache_filter: names of stages of which that is true.
        confidential: what ``--secret`` and ``--ssh`` give.
        environment: the builder's own environment, for the programs that it starts (git).
    """

    context: Path
    dockerfile: bytes
    dockerfile_path: str = "Dockerfile"
    ignore: str | None = None
    build_args: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    contexts: Mapping[str, str] = field(default_factory=dict)
    targets: tuple[str, ...] = ()
    platform: Platform
    platforms: tuple[Platform, ...] = ()
    outputs: Outputs = field(default_factory=Outputs)
    format: ImageFormat = field(default_factory=ImageFormat)
    provenance: Provenance | None = None
    single_snapshot: bool = False
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    confidential: Confidential = field(default_factory=Confidential)
    no_cache: bool = False
    no_cache_filter: frozenset[str] = frozenset()
    ignore_paths: tuple[str, ...] = ()
    network: Literal["default", "none", "host"] = "default"
    materialize: bool = False
    dry_run: bool = False
    check: bool = False
