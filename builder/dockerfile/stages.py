"""The stage graph: what every stage builds on and copies from, and which stages a target needs.

The Dockerfile reference, "FROM", "COPY --from" and "RUN --mount": a base is a stage above or else an image; a source of
files is any stage, by name or number, or else an image or a named context. Names are compared without case; of several
stages of one name, FROM takes the nearest above and the others take the last.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, replace
from itertools import pairwise

from builder.dockerfile.errors import DockerfileError, nearest
from builder.dockerfile.expand import expanded
from builder.dockerfile.parse import parse_instruction
from builder.dockerfile.syntax import Copy, Dockerfile, From, Instruction, OnBuild, Run, Stage
from builder.dockerfile.words import Lookup
from builder.errors import UsageError


@dataclass(frozen=True, slots=True)
class StageBase:
    """Another stage of the same Dockerfile."""

    index: int


@dataclass(frozen=True, slots=True)
class ImageBase:
    """Something outside of it: an image, ``scratch``, or a named context; the platform as FROM has it."""

    name: str
    platform: str | None = None


Base = StageBase | ImageBase


@dataclass(frozen=True, slots=True, kw_only=True)
class StageNode:
    """A stage in the graph.

    Attributes:
        stage: as the Dockerfile has it.
        base: what it begins with.
        triggers: instructions that run before its own: of the base stage's ONBUILDs, and those that were added.
        dependencies: the stages that must be built before it.
        images: names that COPY --from and mounts use and that are no stage.
    """

    stage: Stage
    base: Base
    triggers: tuple[Instruction, ...]
    dependencies: frozenset[int]
    images: frozenset[str]

    @property
    def instructions(self) -> tuple[Instruction, ...]:
        """All that it runs, in order."""
        return self.triggers + self.stage.instructions


class StageGraph:
    """The stages of a Dockerfile and what they need of each other.

    Raises DockerfileError on creation for a FROM that expands to nothing, a stage number that does not exist, and
    stages that need each other in a circle; all stages are looked at, needed or not.

    Args:
        dockerfile: the parsed file.
        lookup: the values of global ARGs, for FROM.
        triggers: instructions by stage index that a base image's ONBUILD adds to it.
    """

    def __init__(
        self, dockerfile: Dockerfile, lookup: Lookup, triggers: Mapping[int, Sequence[Instruction]] | None = None
    ) -> None:
        self._dockerfile, self._lookup = dockerfile, lookup
        self._added = {index: tuple(added) for index, added in (triggers or {}).items()}
        self._last = {stage.name: stage.index for stage in dockerfile.stages if stage.name}
        above: dict[str, int] = {}
        nodes = []
        for stage in dockerfile.stages:
            nodes.append(self._node(stage, above))
            if stage.name:
                above[stage.name] = stage.index
        self.nodes: tuple[StageNode, ...] = tuple(nodes)
        self._order = self._sorted(range(len(nodes)))

    def with_triggers(self, index: int, triggers: Sequence[Instruction]) -> StageGraph:
        """The graph with the triggers of the image that stage `index` is based on. Raises DockerfileError."""
        return StageGraph(self._dockerfile, self._lookup, {**self._added, index: tuple(triggers)})

    def with_parts(self, cuts: Mapping[int, int]) -> StageGraph:
        """The graph with stages cut in two.

        The first ``cuts[index]`` instructions of stage `index` become a stage of their own, on the same base; its index
        is `index` plus the number of stages. The rest keeps the index, and has that stage as its base.
        """
        graph, count = copy(self), len(self.nodes)
        first = [self._part(node, cuts.get(node.stage.index), None) for node in self.nodes]
        rest = [
            self._part(node, None, cuts[index], StageBase(count + index)) if index in cuts else node
            for index, node in enumerate(self.nodes)
        ]
        graph.nodes = (*rest, *first)
        return graph

    def _part(self, node: StageNode, end: int | None, start: int | None, base: Base | None = None) -> StageNode:
        base, instructions = base or node.base, node.instructions[start:end]
        used = [self.source(name) for _, name in used_sources(instructions)]
        bases = [base] if isinstance(base, StageBase) else []
        return StageNode(
            stage=replace(node.stage, instructions=()),
            base=base,
            triggers=instructions,
            dependencies=frozenset(each.index for each in (*bases, *used) if isinstance(each, StageBase)),
            images=frozenset(each.name for each in used if isinstance(each, ImageBase)),
        )

    def source(self, name: str) -> Base:
        """What ``COPY --from=name`` or ``from=name`` of a mount means. A number that is no stage gives an ImageBase."""
        if name.lower() in self._last:
            return StageBase(self._last[name.lower()])
        if name.isascii() and name.isdecimal() and int(name) < len(self._dockerfile.stages):
            return StageBase(int(name))
        return ImageBase(name)

    def needed(self, targets: Sequence[str] = ()) -> tuple[Stage, ...]:
        """The stages that the targets need and the targets, each behind those that it needs; default the last stage.

        Raises UsageError for a target that is no stage.
        """
        wanted = [self.target(name).index for name in targets] or [len(self.nodes) - 1]
        return tuple(self.nodes[index].stage for index in self._sorted(wanted))

    def target(self, name: str) -> Stage:
        """The stage of a name or number. Raises UsageError."""
        source = self.source(name)
        if isinstance(source, StageBase):
            return self.nodes[source.index].stage
        near = nearest(name, self._last)
        names = ", ".join(self._last) or f"none has a name; numbers go from 0 to {len(self.nodes) - 1}"
        raise UsageError(
            f"target stage {name!r} could not be found in {self._dockerfile.path}",
            hint=f"did you mean {near}?" if near else f"stages: {names}",
        )

    def _node(self, stage: Stage, above: Mapping[str, int]) -> StageNode:
        base = self._base(stage.base, above)
        triggers = self._added.get(stage.index, ())
        if isinstance(base, StageBase):
            triggers += _local_triggers(self._dockerfile.stages[base.index], stage.base)
        used = [self._source(instruction, name) for instruction, name in used_sources((*triggers, *stage.instructions))]
        bases = {base.index} if isinstance(base, StageBase) else set()
        return StageNode(
            stage=stage,
            base=base,
            triggers=triggers,
            dependencies=frozenset(bases | {source.index for source in used if isinstance(source, StageBase)}),
            images=frozenset(source.name for source in used if isinstance(source, ImageBase)),
        )

    def _base(self, base: From, above: Mapping[str, int]) -> Base:
        instruction, _ = expanded(base, self._lookup, self._dockerfile.escape)
        assert isinstance(instruction, From)
        index = above.get(instruction.image.lower())
        return ImageBase(instruction.image, instruction.platform) if index is None else StageBase(index)

    def _source(self, instruction: Instruction, name: str) -> Base:
        source = self.source(name)
        if isinstance(source, ImageBase) and name.removeprefix("-").isdecimal():
            last = len(self._dockerfile.stages) - 1
            raise DockerfileError.at(
                instruction, f"invalid stage index {name}", f"from={name}", f"stages are numbered 0 to {last}"
            )
        return source

    def _sorted(self, wanted: Iterable[int]) -> list[int]:
        """The stages and all that they need, dependencies first. Raises DockerfileError for a circle."""
        order: dict[int, None] = {}
        for start in wanted:
            path = [start]
            while path:
                index = path[-1]
                missing = [needed for needed in sorted(self.nodes[index].dependencies) if needed not in order]
                if not missing:
                    order[path.pop()] = None
                elif missing[0] in path:
                    raise self._circle([*path[path.index(missing[0]) :], missing[0]])
                else:
                    path.append(missing[0])
        return list(order)

    def _circle(self, indexes: list[int]) -> DockerfileError:
        """The error about stages that need each other; it points at an instruction that needs a stage not yet built."""
        reason = f"circular dependency of stages: {' -> '.join(self._name(index) for index in indexes)}"
        index, needed = next(pair for pair in pairwise(indexes) if pair[1] >= pair[0])
        node = self.nodes[index]
        for instruction, name in used_sources(node.instructions):
            if self.source(name) == StageBase(needed):
                return DockerfileError.at(instruction, reason, f"from={name}")
        return DockerfileError.at(node.stage.base, reason)

    def _name(self, index: int) -> str:
        return self.nodes[index].stage.name or f"stage {index}"


def used_sources(instructions: Iterable[Instruction]) -> list[tuple[Instruction, str]]:
    """What files are taken from, in COPY --from and mounts."""
    used: list[tuple[Instruction, str]] = []
    for instruction in instructions:
        if isinstance(instruction, Copy) and instruction.from_:
            used.append((instruction, instruction.from_))
        elif isinstance(instruction, Run):
            used.extend((instruction, mount.from_) for mount in instruction.mounts if mount.from_)
    return used


def _local_triggers(base: Stage, child: From) -> tuple[Instruction, ...]:
    """The ONBUILDs of a stage that another one is based on; in them the escape is always the backslash."""
    return tuple(
        parse_instruction(instruction.trigger, child.location, "\\")
        for instruction in base.instructions
        if isinstance(instruction, OnBuild)
    )
