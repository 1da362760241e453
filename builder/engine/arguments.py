"""Global arguments: the platform ARGs, and the ARGs before the first FROM."""

from __future__ import annotations

from collections.abc import Mapping

from builder.dockerfile.expand import expanded_default
from builder.dockerfile.syntax import Arg, Dockerfile
from builder.engine.scope import Scope
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


def declare(arg: Arg, scope: Scope, escape: str) -> str:
    """Declare the names of an ARG in `scope`, and give the instruction as histories have it.

    It is expanded name by name: a default sees the values of those before it, and may not count at all.
    Raises DockerfileError.
    """
    words = ["ARG"]
    for index, (name, default) in enumerate(arg.pairs):
        if default is not None and not scope.overrides(name):
            default, _ = expanded_default(arg, index, scope.get, escape)
        value = scope.declare(name, default)
        words.append(name if value is None else f"{name}={value}")
    return " ".join(words)


def platform_arguments(target: Platform, build: Platform) -> dict[str, str]:
    """``TARGETPLATFORM`` and ``BUILDPLATFORM`` with their parts (Dockerfile reference, "Automatic platform ARGs")."""
    values = {}
    for prefix, platform in (("BUILD", build), ("TARGET", target)):
        values[f"{prefix}PLATFORM"] = str(platform)
        values[f"{prefix}OS"] = platform.os
        values[f"{prefix}ARCH"] = platform.architecture
        values[f"{prefix}VARIANT"] = platform.variant
    return values
