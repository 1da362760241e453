"""The images that a Dockerfile needs, by name: what can be fetched before a build."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from builder.dockerfile.parse import parse
from builder.dockerfile.stages import ImageBase, StageBase, StageGraph, StageNode
from builder.engine.arguments import global_arguments
from builder.engine.plan import SCRATCH
from builder.image.platform import Platform


def base_names(
    text: bytes, path: str, build_args: Mapping[str, str], platform: Platform
) -> Iterator[tuple[str, Platform]]:
    """Every image that a stage is FROM, copies from or mounts, with its platform; each may come more than once.

    Args:
        platform: that the build is for.

    Raises DockerfileError, UsageError.
    """
    dockerfile = parse(text, path)
    last = dockerfile.stages[-1].name or ""
    values = global_arguments(dockerfile, build_args, platform, Platform.host(), last)
    graph = StageGraph(dockerfile, values.get)
    platforms: dict[int, Platform] = {}
    for node in graph.nodes:
        platforms[node.stage.index] = of_stage = _platform(node, platforms, platform)
        names = {node.base.name} if isinstance(node.base, ImageBase) else set[str]()
        for name in sorted((names | node.images) - {SCRATCH}):
            yield name, of_stage


def _platform(node: StageNode, known: Mapping[int, Platform], default: Platform) -> Platform:
    if isinstance(node.base, StageBase):
        return known.get(node.base.index, default)
    return Platform.parse(node.base.platform) if node.base.platform else default
