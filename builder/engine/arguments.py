"""Global arguments: the platform ARGs, and the ARGs before the first FROM."""

from __future__ import annotations

from collections.abc import Mapping

from builder.dockerfile.expand import expanded_default
from builder.dockerfile.syntax import Dockerfile
from builder.image.platform import Platform


def global_arguments(
    dockerfile: Dockerfile, build_args: Mapping[str, str], target: Platform, build: Platform, target_stage: str
) -> dict[str, str]:
    """The values that FROM sees, and that a stage gets by declaring the name without a default.

    Raises DockerfileError.
    """
    values = platform_arguments(target, build) | {"TARGETSTAGE": target_stage or "default"}
    values |= {name: build_args[name] for name in values if name in build_args}
    for arg in dockerfile.global_args:
        for index, (name, default) in enumerate(arg.pairs):
            value = build_args.get(name)
            if value is None and default is not None:
                value, _ = expanded_default(arg, index, values.get, dockerfile.escape)
            if value is not None:
                values[name] = value
    return values


def platform_arguments(target: Platform, build: Platform) -> dict[str, str]:
    """``TARGETPLATFORM`` and ``BUILDPLATFORM`` with their parts (Dockerfile reference, "Automatic platform ARGs")."""
    values = {}
    for prefix, platform in (("BUILD", build), ("TARGET", target)):
        values[f"{prefix}PLATFORM"] = str(platform)
        values[f"{prefix}OS"] = platform.os
        values[f"{prefix}ARCH"] = platform.architecture
        values[f"{prefix}VARIANT"] = platform.variant
    return values
