"""The flags of the commands that look after caches: ``warm``, ``prune`` and ``du``."""

from __future__ import annotations

from builder.cli.flags import OUTPUT_OF_LOGS, REGISTRY, STATE, duration, group, many, switch, text

_PUSH_ONLY = ("insecure", "skip-tls-verify", "push-retry", "push-ignore-immutable-tag-errors",
              "skip-push-permission-check")  # fmt: skip

WARM_FLAGS = (
    *group(
        "Images",
        many("image", "IMAGE", "Image to fetch.", short="i"),
        many("dockerfile", "FILE", "Fetch the images that this Dockerfile begins with or copies from.", short="d"),
        many("build-arg", "NAME[=VALUE]", "Set an ARG of the Dockerfile."),
        many("custom-platform", "PLATFORM,...", "Another name of --platform.", old=("customPlatform",)),
        many("platform", "PLATFORM,...", "os/arch[/variant] to fetch, if not the host's."),
    ),
    *group(
        "Cache",
        text("cache-dir", "DIR", "Directory of the images: an OCI layout.", "/cache", short="c"),
        duration("cache-ttl", "How long an image is kept after it was last warmed.", 336),
        switch("force", "Fetch again what is there.", short="f"),
    ),
    *(flag for flag in REGISTRY if flag.name not in _PUSH_ONLY),
    STATE._replace(group="State"),
    *OUTPUT_OF_LOGS,
)

PRUNE_FLAGS = (
    *group(
        "What to remove",
        switch("all", "Remove everything that no running build uses.", short="a"),
        text("keep-storage", "SIZE", "Remove what was used least recently until no more than SIZE is left (10GB)."),
        many("filter", "until=AGE", "Remove only what was not used for so long (24h, 7d)."),
        text("older-than", "AGE", "Another name of --filter until=AGE."),
        switch("force", "Accepted for docker's sake: nobody is asked anyway.", short="f"),
    ),
    STATE._replace(group="State"),
    *OUTPUT_OF_LOGS,
)

DU_FLAGS = (
    *group("Output", text("format", "FORMAT", "table or json.", "table")),
    STATE._replace(group="State"),
    *OUTPUT_OF_LOGS,
)
