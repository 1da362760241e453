"""From an instruction and its surroundings to the inputs of its step."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from threading import Lock

from builder.cache.file_digests import FileDigests
from builder.cache.keys import Component
from builder.cache.steps import StepPlace
from builder.context.git_source import GitSource
from builder.context.spec import without_password
from builder.dockerfile.syntax import Add, Copy, Run
from builder.engine.caching.content import components_of as file_components
from builder.engine.caching.content import paths_of
from builder.engine.caching.copied import CONTEXT, Copied, Where, add_sources
from builder.engine.caching.origin import Origin
from builder.engine.caching.step_cache import Inputs
from builder.engine.caching.step_inputs import Step, components_of, is_independent, shown, work_of
from builder.engine.instructions.remote import Surroundings, git_tree, is_remote, url_tree
from builder.engine.request import BuildRequest
from builder.engine.stage import Stage
from builder.rootfs.tree import SourceTree


@dataclass(frozen=True, slots=True, kw_only=True)
class Described:
    """What the inputs of a step are told from.

    Attributes:
        beneath: the identity of what the stage stands on.
        origins: where its ``--from`` and those of its mounts lead, in their order.
        context: the build context; whoever uses it or `files` holds `lock`.
        files: digests of its files.
        around: what ADD has around it.
    """

    stage: Stage
    instruction: Step
    request: BuildRequest
    place: StepPlace
    beneath: str
    origins: Sequence[Origin]
    context: SourceTree
    files: FileDigests
    lock: Lock
    around: Surroundings

    def inputs(self) -> Inputs:
        """The inputs; files are looked at when they are asked for."""
        files = _Files(self)
        return Inputs(
            place=self.place,
            work=work_of(self.instruction),
            instruction=shown(self.instruction),
            common=components_of(self.stage, self.instruction, self.request, self.beneath),
            origins=self.origins,
            files=files.components,
            unchanged=files.unchanged,
            independent=is_independent(self.instruction),
        )


class _Files:
    """The files that a step takes from anywhere."""

    def __init__(self, described: Described) -> None:
        self._described = described
        self._paths: list[str] = []

    def components(self) -> list[Component]:
        """Raises BuilderError if they cannot be read, or are not there."""
        instruction = self._described.instruction
        if isinstance(instruction, Run):
            return [*self._of_context(), *self._mounted_from_origins(instruction)]
        if isinstance(instruction, Copy) and instruction.from_ is not None:
            return list(self._copied_from_origin(instruction))
        if isinstance(instruction, (Copy, Add)):
            return [*self._of_context(), *self._remote(instruction)]
        return []

    def unchanged(self) -> bool:
        """Whether the files of the context are as they were when their components were made."""
        with self._described.lock:
            return all(self._described.files.unchanged(path) for path in self._paths)

    def _of_context(self) -> list[Component]:
        described, instruction = self._described, self._described.instruction
        with described.lock:
            copied = Copied(instruction if isinstance(instruction, (Copy, Add)) else None)
            if isinstance(instruction, Run):
                for mount in instruction.mounts:
                    if mount.type == "bind" and mount.from_ is None:
                        copied.add_whole(described.context, CONTEXT, mount.source or "/")
            elif isinstance(instruction, (Copy, Add)):
                local = [source for source in instruction.sources if not is_remote(source)]
                add_sources(copied, instruction, described.context, CONTEXT, local)
            self._paths = paths_of(copied.changes)
            return _components(copied, described.files)

    def _copied_from_origin(self, instruction: Copy) -> list[Component]:
        origin = self._described.origins[0]
        copied = Copied(instruction)
        add_sources(copied, instruction, origin.tree(), origin.where, list(instruction.sources))
        return _components(copied, FileDigests())

    def _mounted_from_origins(self, instruction: Run) -> Iterator[Component]:
        mounts = [mount for mount in instruction.mounts if mount.type in ("bind", "cache") and mount.from_]
        copied = Copied()
        for mount, origin in zip(mounts, self._described.origins, strict=True):
            copied.add_whole(origin.tree(), origin.where, mount.source or "/")
        yield from _components(copied, FileDigests())

    def _remote(self, instruction: Copy | Add) -> Iterator[Component]:
        copied = Copied(instruction)
        for source in instruction.sources if isinstance(instruction, Add) else ():
            if is_remote(source):
                assert isinstance(instruction, Add)
                where = Where(after=f" of {without_password(source)}")
                if (git := GitSource.parse(source)) is not None:
                    copied.cloned = True
                    copied.add_whole(git_tree(git, instruction, self._described.around), where, "/")
                else:
                    tree, name = url_tree(source, instruction, self._described.around)
                    copied.add_whole(tree, where, name)
        yield from _components(copied, FileDigests())


def _components(copied: Copied, files: FileDigests) -> list[Component]:
    # A clone's own directory is never the same twice; what it is a clone of is told by its HEAD.
    changes = {
        path: entry
        for path, entry in copied.changes.items()
        if path.partition("/")[2].partition("/")[0] != ".git" or not copied.cloned or path.endswith("/.git/HEAD")
    }
    return [*copied.components, *file_components(changes, files, copied.name_of)]
