"""The flags of ``builder manifest``, as data; names and meaning are docker's and manifest-tool's."""

from __future__ import annotations

from builder.cli.flags import OUTPUT, OUTPUT_OF_LOGS, REGISTRY, STATE, group, many, switch, text

_DIGESTS = ("digest-file", "image-name-with-digest-file", "image-name-tag-with-digest-file")
_BUILD_ALONE = ("image-fs-extract-retry", "skip-push-permission-check", "push-ignore-immutable-tag-errors")

_FORMAT = text(
    "format",
    "FORMAT",
    "docker or oci: media type of the index (default: docker if all images are Docker's).",
    old=("type",),
)
_ANNOTATION = many("annotation", "KEY=VALUE", "Add an annotation to the index.")
_COMMON = (
    *(flag for flag in OUTPUT if flag.name in _DIGESTS),
    *(flag for flag in REGISTRY if flag.name not in _BUILD_ALONE),
    STATE._replace(group="State"),
    *OUTPUT_OF_LOGS,
)

CREATE_FLAGS = (
    *group(
        "Index",
        switch("amend", "Add to the index that is there; images for the same platforms are replaced."),
        _ANNOTATION,
        _FORMAT,
    ),
    *_COMMON,
)

PUSH_FLAGS = (
    *group(
        "Index",
        many("platforms", "PLATFORM,...", "from-args: the platforms, each os/arch or os/arch/variant."),
        text("template", "REPO:OS-ARCH-VARIANT", "from-args: names of the images, OS, ARCH and VARIANT filled in."),
        text("target", "IMAGE", "from-args: reference to push the index to."),
        many("tags", "TAG,...", "from-args: more tags for the index."),
        switch("ignore-missing", "Leave out images that do not exist, with a warning."),
        _ANNOTATION,
        _FORMAT,
    ),
    *_COMMON,
)

INSPECT_FLAGS = (*group("Output", switch("raw", "Print what the registry has, byte for byte.")), *_COMMON)
