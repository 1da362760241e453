"""The plan: which stages are built, from which bases, in which order."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from builder.dockerfile.errors import DockerfileError
from builder.dockerfile.expand import expanded
from builder.dockerfile.parse import parse, parse_instruction
from builder.dockerfile.stages import ImageBase, StageBase, StageGraph, StageNode
from builder.dockerfile.syntax import Dockerfile, From, Instruction, Run
from builder.engine.arguments import global_arguments
from builder.engine.bases import BaseImage, Bases
from builder.engine.instructions.run import check
from builder.engine.located import located
from builder.engine.request import BuildRequest
from builder.errors import BuilderError
from builder.image.platform import Platform

SCRATCH = "scratch"


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedStage:
    """A stage that is going to be built.

    Attributes:
        name: of the stage as messages have it: its own, or ``stage-N``; "" if there is only one.
        base: the stage or image that it is FROM; None for scratch.
        from_: its FROM, expanded.
        instructions: all that it does, triggers of its base first.
        runs: it has a RUN.
        before, after: steps of the same stage that are not in `instructions`, because it is built in two parts.
        continues: it is the second part of a stage, and `base` the first.
    """

    index: int
    name: str
    base: StageBase | BaseImage | None
    platform: Platform
    from_: From
    instructions: tuple[Instruction, ...]
    runs: bool
    before: int = 0
    after: int = 0
    continues: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is going to be done.

    Attributes:
        stages: each behind those that it needs.
        target: index of the stage that is exported.
        global_args: values of the ARGs before the first FROM and of the platform's.
        platform: what is built for.
        shared: indexes of stages that are built for other platforms as well, once for all of them.
        borrowed: those among them that are not built by this plan but by an earlier one.
    """

    dockerfile: Dockerfile
    graph: StageGraph
    stages: tuple[PlannedStage, ...]
    target: int
    global_args: dict[str, str]
    platform: Platform
    shared: frozenset[int] = frozenset()
    borrowed: frozenset[int] = frozenset()

    def stage(self, index: int) -> PlannedStage:
        """The stage of this index, which is built. Raises StopIteration if it is not."""
        return next(stage for stage in self.stages if stage.index == index)


def make_plan(request: BuildRequest, bases: Bases, parsed: Dockerfile | None = None) -> Plan:
    """Parse the Dockerfile, resolve the images that needed stages are FROM, and put their triggers in.

    Args:
        parsed: the Dockerfile, if it has been parsed before.

    Raises DockerfileError, UsageError, RegistryError, ManifestError.
    """
    dockerfile = parsed or parsed_dockerfile(request, bases)
    last = request.targets[0] if request.targets else dockerfile.stages[-1].name or ""
    values = global_arguments(dockerfile, request.build_args, request.platform, Platform.host(), last)
    graph = StageGraph(dockerfile, values.get)
    planner = _Planner(dockerfile, request, bases, values)
    while (extended := planner.with_triggers(graph)) is not graph:
        graph = extended
    order = [stage.index for stage in graph.needed(request.targets)]
    stages = tuple(planner.planned(graph.nodes[index], len(graph.nodes)) for index in order)
    for stage in stages:
        for instruction in stage.instructions:
            if isinstance(instruction, Run):
                check(instruction)
    target = graph.target(request.targets[0]).index if request.targets else len(graph.nodes) - 1
    return Plan(
        dockerfile=dockerfile,
        graph=graph,
        stages=stages,
        target=target,
        global_args=values,
        platform=request.platform,
    )


def parsed_dockerfile(request: BuildRequest, bases: Bases) -> Dockerfile:
    """The Dockerfile, with named contexts in the place of stages of their names. Raises DockerfileError."""
    return bases.contexts.over_stages(parse(request.dockerfile, request.dockerfile_path))


class _Planner:
    def __init__(self, dockerfile: Dockerfile, request: BuildRequest, bases: Bases, values: dict[str, str]) -> None:
        self._dockerfile, self._request, self._bases, self._values = dockerfile, request, bases, values
        self._images: dict[int, BaseImage | None] = {}

    def with_triggers(self, graph: StageGraph) -> StageGraph:
        """The graph with the triggers of base images not looked at yet; the same one if there are none."""
        new = [
            graph.nodes[stage.index]
            for stage in graph.needed(self._request.targets)
            if stage.index not in self._images and isinstance(graph.nodes[stage.index].base, ImageBase)
        ]
        self._resolve(new)
        for node in new:
            image = self._images[node.stage.index]
            if image is not None and image.config.config.on_build:
                graph = graph.with_triggers(node.stage.index, _triggers(node, image.config.config.on_build))
        return graph

    def _resolve(self, nodes: Sequence[StageNode]) -> None:
        if not nodes:
            return
        if len(nodes) == 1:
            self._images[nodes[0].stage.index] = self._image(nodes[0])
            return
        with ThreadPoolExecutor(min(len(nodes), 8), thread_name_prefix="resolve") as threads:
            for node, image in zip(nodes, threads.map(self._image, nodes), strict=True):
                self._images[node.stage.index] = image

    def _image(self, node: StageNode) -> BaseImage | None:
        base = node.base
        assert isinstance(base, ImageBase)
        if base.name == SCRATCH:
            return None
        try:
            return self._bases.image(base.name, self._platform(node))
        except BuilderError as error:
            raise located(error, self._from(node), node.stage.name or "") from error

    def _platform(self, node: StageNode) -> Platform:
        platform = self._from(node).platform
        if platform is None:
            return self._request.platform
        try:
            return Platform.parse(platform)
        except BuilderError as error:
            raise DockerfileError.at(
                node.stage.base, error.message, node.stage.base.platform or "", error.hint
            ) from None

    def _from(self, node: StageNode) -> From:
        instruction, _ = expanded(node.stage.base, self._values.get, self._dockerfile.escape)
        assert isinstance(instruction, From)
        return instruction

    def planned(self, node: StageNode, count: int) -> PlannedStage:
        index = node.stage.index
        return PlannedStage(
            index=index,
            name=node.stage.name or ("" if count == 1 else f"stage-{index}"),
            base=node.base if isinstance(node.base, StageBase) else self._images[index],
            platform=self._platform(node),
            from_=self._from(node),
            instructions=node.instructions,
            runs=any(isinstance(each, Run) for each in node.instructions),
        )


def _triggers(node: StageNode, triggers: Sequence[str]) -> list[Instruction]:
    # In an image's config the escape is always the backslash, whatever the Dockerfile says.
    return [parse_instruction(trigger, node.stage.base.location, "\\") for trigger in triggers]
