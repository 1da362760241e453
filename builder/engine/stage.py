"""A stage in progress: its config, its FileTree, its layers, and its files on disk once something has to run."""

from __future__ import annotations

import threading
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Protocol

from builder.engine.caching.chain import Chain
from builder.engine.layers import Layer
from builder.engine.scope import Scope
from builder.image.config import DEFAULT_PATH, ContainerConfig, History, ImageConfig
from builder.image.media_types import Family
from builder.image.platform import Platform
from builder.layer.changes import Changes
from builder.rootfs.base import RootFs
from builder.rootfs.image_files import ImageFiles
from builder.rootfs.overlay import OverlayRootFs
from builder.rootfs.tree import FileTree, with_parents

COMMENT = "buildkit.dockerfile.v0"


class Base(Protocol):
    """What a stage is FROM, as far as its files go. `tree` and `rootfs` may take long, and are called at most once."""

    def tree(self) -> FileTree: ...

    def rootfs(self) -> RootFs: ...

    def start(self, *, unpack: bool) -> None:
        """Begin to read in the background what `tree`, or with `unpack` also `rootfs`, will need."""
        ...

    def image_files(self) -> ImageFiles | None:
        """The files as layers that nobody needs to have read; None where they are more than that."""
        ...


@dataclass(slots=True, kw_only=True)
class Stage:
    """The state that instructions change.

    Attributes:
        name: as messages have it.
        image: everything of the image's config but `config`, layers and history, which the next three hold.
        layers: those of the base, and one for each instruction that makes one, complete or still being written.
        cmd_is_own: a CMD was set in this stage, so that ENTRYPOINT does not clear it.
        created: of the image and its history, seconds since the epoch.
        inherited: how many entries of the history are those of the image that it is based on.
        chain: where it has got to for the caches; None without any.
    """

    name: str
    platform: Platform
    family: Family
    image: ImageConfig
    config: ContainerConfig
    scope: Scope
    base: Base
    created: int
    history: list[History] = field(default_factory=list)
    layers: list[Future[Layer]] = field(default_factory=list)
    cmd_is_own: bool = False
    chain: Chain | None = None
    inherited: int = 0
    _tree: FileTree | None = None
    _rootfs: RootFs | None = None
    _flattened: RootFs | None = None
    _unplaced: list[Changes] = field(default_factory=list)
    _linked: list[Changes] = field(default_factory=list)
    _lock: threading.RLock = field(default_factory=threading.RLock)

    @property
    def tree(self) -> FileTree:
        """The files as they are now. The base's headers are read when this is first asked for."""
        with self._lock:
            if self._tree is None:
                self._tree = self.base.tree()
                for changes in self._linked:
                    self._tree.apply(changes)
                self._linked = []
            return self._tree

    @property
    def rootfs(self) -> RootFs:
        """The files on disk, made when this is first asked for."""
        with self._lock:
            if self._rootfs is None:
                self._rootfs = self.base.rootfs()
                for changes in self._unplaced:
                    self._rootfs.add(changes)
                self._unplaced = []
            if isinstance(self._rootfs, OverlayRootFs) and self._rootfs.full:
                self._flattened = self._rootfs
                self._rootfs = self._flattened.flattened(self.tree)
            return self._rootfs

    def start(self, *, unpack: bool) -> None:
        """Begin to read in the background what `tree`, or with `unpack` also `rootfs`, will need."""
        with self._lock:
            if self._rootfs is None and (unpack or self._tree is None):
                self.base.start(unpack=unpack)

    def await_base(self, *, files: bool) -> None:
        """Wait until what `tree`, or with `files` also `rootfs`, will be made from is there. Raises as they do."""
        with self._lock:
            layers = self.base.image_files() if files and self._rootfs is None else None
            if layers is not None:
                layers.lowers()
            elif self._tree is None:
                self._tree = self.tree

    def image_files(self) -> ImageFiles | None:
        """The files as layers, as long as nothing has been made of them or changed."""
        with self._lock:
            if self._tree or self._rootfs or self._linked or self._unplaced:
                return None
            return self.base.image_files()

    def fork_rootfs(self, *, last: bool = False) -> RootFs:
        """The files on disk for a stage FROM this one; `last` if nobody else needs them from now on."""
        with self._lock:
            return self.rootfs.fork(self.tree, last=last)

    def fork_tree(self) -> FileTree:
        """The files for a stage FROM this one, or that copies from it."""
        with self._lock:
            return self.tree.fork()

    def changed(self, changes: Changes) -> Changes:
        """Note what an instruction that runs nothing has changed in the tree; with parents, as its layer has them."""
        complete = with_parents(self.tree, changes)
        self._place(complete)
        return complete

    def linked(self, changes: Changes) -> None:
        """Take over changes, parents included, that were made without a look at the tree (``COPY --link``)."""
        with self._lock:
            if self._tree is None:
                self._linked.append(changes)
            else:
                self._tree.apply(changes)
        self._place(changes)

    def _place(self, changes: Changes) -> None:
        with self._lock:
            if self._rootfs is not None:
                self._rootfs.add(changes)
            elif changes:
                self._unplaced.append(changes)

    def configure(self, created_by: str, **fields: object) -> None:
        """Set fields of the config, with an entry in the history that has no layer."""
        self.config = replace(self.config, **fields)  # type: ignore[arg-type]
        self.note(created_by, empty_layer=True)

    def note(self, created_by: str, *, empty_layer: bool, seconds: int | None = None) -> None:
        """Add to the history; `seconds` is when the layer was built, if that was not now."""
        created = rfc3339(self.created if seconds is None else seconds)
        self.history.append(History(created=created, created_by=created_by, comment=COMMENT, empty_layer=empty_layer))

    def close(self) -> None:
        """Remove what is on disk."""
        with self._lock:
            for rootfs in (self._rootfs, self._flattened):
                if rootfs is not None:
                    rootfs.close()


def initial_config(config: ContainerConfig) -> ContainerConfig:
    """The config that a stage begins with: the base's, a PATH if that has none, and no triggers."""
    if not any(each.startswith("PATH=") for each in config.env):
        config = replace(config, env=(*config.env, f"PATH={DEFAULT_PATH}"))
    return replace(config, on_build=())


def scratch_image(platform: Platform) -> ImageConfig:
    """The image that ``FROM scratch`` begins with."""
    return ImageConfig(platform=platform, config=ContainerConfig(working_dir="/"))


def complete_history(image: ImageConfig) -> list[History]:
    """The history of a base, with as many entries that have a layer as it has layers (some tools write none)."""
    history, with_layer = [], 0
    for entry in image.history:
        with_layer += not entry.empty_layer
        history.append(replace(entry, empty_layer=True) if with_layer > len(image.diff_ids) else entry)
    return history + [History()] * max(0, len(image.diff_ids) - with_layer)


def dated(stage: Stage) -> tuple[str, tuple[History, ...]]:
    """When the image was made, and its history, in which what made no layer has the time of the layer before it.

    So an image whose layers all come from caches is the same every time, as BuildKit has it.
    """
    base, own = stage.history[: stage.inherited], stage.history[stage.inherited :]
    times = [each.created or "" for each in own if not each.empty_layer]
    if not times:
        return rfc3339(stage.created), tuple(stage.history)
    latest, last = max(times), times[0]
    for number, each in enumerate(own):
        if each.empty_layer:
            own[number] = replace(each, created=last)
        else:
            last = each.created or last
    return latest, (*base, *own)


def rfc3339(seconds: int) -> str:
    """A time as configs have it."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
