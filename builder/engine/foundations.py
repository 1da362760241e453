"""What a stage stands on: nothing, an image, or another stage."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from pathlib import Path

from builder.engine.services import Services
from builder.engine.stage import Stage
from builder.rootfs.base import RootFs
from builder.rootfs.image_files import ImageFiles
from builder.rootfs.overlay import OverlayRootFs
from builder.rootfs.tree import FileTree
from builder.rootfs.walk import WalkRootFs
from builder.storage.failure import explained


@dataclass(frozen=True, slots=True, kw_only=True)
class OnNothing:
    """``FROM scratch``."""

    services: Services

    def tree(self) -> FileTree:
        return FileTree()

    def start(self, *, unpack: bool) -> None:
        return

    def image_files(self) -> ImageFiles:
        return ImageFiles(self.services.layers, (), self.services.readers(""))

    def rootfs(self) -> RootFs:
        if self.services.overlay:
            return OverlayRootFs(_new_directory(self.services), (), self.services.ownership)
        return _walked(self.services, FileTree())


@dataclass(frozen=True, slots=True, kw_only=True)
class OnImage:
    """FROM an image in a registry."""

    services: Services
    files: ImageFiles

    def tree(self) -> FileTree:
        return self.files.tree()

    def start(self, *, unpack: bool) -> None:
        self.files.start(unpack=unpack)

    def image_files(self) -> ImageFiles:
        return self.files

    def rootfs(self) -> RootFs:
        if self.services.overlay:
            return OverlayRootFs(_new_directory(self.services), self.files.lowers(), self.services.ownership)
        return _walked(self.services, self.files.tree(), self.files)


@dataclass(frozen=True, slots=True, kw_only=True)
class OnStage:
    """FROM another stage, which is complete.

    Attributes:
        last: nobody else needs that stage's files from now on.
    """

    stage: Stage
    last: bool = False

    def tree(self) -> FileTree:
        return self.stage.fork_tree()

    def start(self, *, unpack: bool) -> None:
        self.stage.start(unpack=unpack)

    def image_files(self) -> ImageFiles | None:
        return self.stage.image_files()

    def rootfs(self) -> RootFs:
        return self.stage.fork_rootfs(last=self.last)


def _walked(services: Services, tree: FileTree, image: ImageFiles | None = None) -> RootFs:
    """Files whose changes are found by walking: those of the container that the builder is in, or a directory."""
    scratch = _new_directory(services)
    if services.container is not None:
        from builder.rootfs.in_place.rootfs import InPlaceRootFs

        return InPlaceRootFs(services.container, scratch, tree, services.ownership, image)
    return WalkRootFs(scratch, tree, services.ownership)


def _new_directory(services: Services) -> Path:
    # The name is short because overlayfs takes all its directories in one page of options.
    path = services.scratch / secrets.token_hex(4)
    with explained("write", path):
        path.mkdir(mode=0o700)
    return path
