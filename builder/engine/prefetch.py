"""Which layers of base images are read before anything asks for them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from builder.dockerfile.stages import StageBase, used_sources
from builder.dockerfile.syntax import Add, Copy, Instruction, Run, Workdir
from builder.engine.bases import BaseImage
from builder.engine.plan import Plan, PlannedStage
from builder.engine.stage import Stage


def prefetch(plan: Plan, *, unpack: bool, in_turn: bool = False) -> None:
    """Begin to read, in the background: files for stages that RUN, headers for those whose tree is looked at.

    A stage that only changes the config, or copies with ``--link``, needs nothing of its base.

    Args:
        unpack: commands can be run, so that the files will be wanted.
        in_turn: each stage that runs takes the files of its base for itself.
    """
    running = _with_bases(plan, [stage.index for stage in plan.stages if stage.runs])
    sources = {index for stage in plan.stages for index in plan.graph.nodes[stage.index].dependencies}
    looks = [stage.index for stage in plan.stages if _looks_at_tree(stage)]
    wanted = _with_bases(plan, [*looks, *(sources - _only_bases(plan))])
    images = [(stage, stage.base.files) for stage in plan.stages if isinstance(stage.base, BaseImage)]
    unpacked = [files for stage, files in images if unpack and stage.index in running]
    for files in unpacked:
        if in_turn and unpacked.count(files) > 1:
            files.keep()
        files.start(unpack=True)
    for stage, files in images:  # headers come after files, which bring them along
        if stage.index in wanted:
            files.start(unpack=False)


def begin_reading(
    plan: Plan, planned: PlannedStage, stage: Stage, rest: Sequence[Instruction], *, unpack: bool, in_turn: bool = False
) -> None:
    """Begin to read what is beneath a stage that has `rest` still to do: as `prefetch`, for one whose time has come."""
    users = [each for each in plan.stages if each is not planned and planned.index in _with_bases(plan, [each.index])]
    files = unpack and (any(isinstance(each, Run) for each in rest) or any(user.runs for user in users))
    if unpack and (in_turn or not files):
        _keep_for_others(plan, planned)
    if files:
        stage.start(unpack=True)
    elif any(looks_at_tree(each) for each in rest) or any(_looks_at_tree(user) for user in users):
        stage.start(unpack=False)


def _keep_for_others(plan: Plan, planned: PlannedStage) -> None:
    """Note that the layers of the image beneath a stage will be read again, if others run on the same image."""
    image, own = _image(plan, planned), _with_bases(plan, [planned.index])
    for other in plan.stages if image is not None else ():
        line = _with_bases(plan, [other.index])
        if other.runs and planned.index not in line and other.index not in own and _image(plan, other) is image:
            assert image is not None
            image.files.keep()


def _image(plan: Plan, planned: PlannedStage) -> BaseImage | None:
    """The image that a stage is FROM, or that the stages are FROM that it is FROM."""
    bases = (plan.stage(index).base for index in _with_bases(plan, [planned.index]))
    return next((base for base in bases if isinstance(base, BaseImage)), None)


def exported_line(plan: Plan) -> set[int]:
    """The exported stage and those that it is FROM: the stages whose layers are the image's."""
    return _with_bases(plan, [plan.target])


def is_last_user(plan: Plan, stage: PlannedStage) -> bool:
    """Whether nobody but `stage`, as its base, uses the files of the stage that it is FROM, once its turn has come."""
    assert isinstance(stage.base, StageBase)
    index = stage.base.index
    later = plan.stages[plan.stages.index(stage) + 1 :]
    used = (plan.graph.source(name) for _, name in used_sources(stage.instructions))
    return (
        index != plan.target
        and index not in plan.shared
        and not any(index in plan.graph.nodes[each.index].dependencies for each in later)
        and not any(isinstance(source, StageBase) and source.index == index for source in used)
    )


def _with_bases(plan: Plan, indexes: Iterable[int]) -> set[int]:
    stages = {stage.index: stage for stage in plan.stages}
    found: set[int] = set()
    for index in indexes:
        while index not in found:
            found.add(index)
            base = stages[index].base
            if isinstance(base, StageBase):
                index = base.index
    return found


def _only_bases(plan: Plan) -> set[int]:
    """Stages that others are FROM but nobody copies from."""
    copied: set[int] = set()
    bases: set[int] = set()
    for stage in plan.stages:
        base = {stage.base.index} if isinstance(stage.base, StageBase) else set()
        bases |= base
        copied |= plan.graph.nodes[stage.index].dependencies - base
    return bases - copied


def _looks_at_tree(stage: PlannedStage) -> bool:
    return any(looks_at_tree(each) for each in stage.instructions)


def looks_at_tree(each: Instruction) -> bool:
    """Whether an instruction cannot be carried out without the headers of the layers below."""
    return isinstance(each, (Run, Workdir)) or (isinstance(each, (Copy, Add)) and not _is_linked(each))


def _is_linked(instruction: Copy | Add) -> bool:
    return instruction.link and instruction.chmod is None and instruction.chown is None
