"""Base images: resolved once for a name and platform, their layers read once for all stages."""

from __future__ import annotations

import threading
from concurrent.futures import Future
from dataclasses import dataclass

from builder.engine.layers import Layer, completed
from builder.engine.services import Services
from builder.image.config import ImageConfig
from builder.image.media_types import Family
from builder.image.platform import Platform
from builder.image.reference import Reference
from builder.registry.pull import RemoteImage, resolve_image
from builder.rootfs.image_files import ImageFiles
from builder.rootfs.tree import FileTree


@dataclass(frozen=True, slots=True, kw_only=True)
class BaseImage:
    """An image in a registry, and its files."""

    remote: RemoteImage
    files: ImageFiles

    @property
    def config(self) -> ImageConfig:
        return self.remote.config

    @property
    def family(self) -> Family:
        return self.remote.manifest.family

    def tree(self) -> FileTree:
        return self.files.tree()

    def layers(self) -> list[Future[Layer]]:
        """Its layers, which pass through as they are."""
        return [
            completed(Layer(blob=blob, diff_id=diff_id))
            for blob, diff_id in zip(self.remote.layers, self.config.diff_ids, strict=True)
        ]


class Bases:
    """The base images of one build. Thread-safe."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._lock = threading.Lock()
        self._images: dict[tuple[Reference, Platform], Future[BaseImage]] = {}

    def image(self, name: str, platform: Platform) -> BaseImage:
        """The image; the first who asks fetches its manifest and config. Raises InvalidReference, RegistryError."""
        reference = Reference.parse(name)
        key = reference, platform
        with self._lock:
            known = self._images.get(key)
            if known is None:
                mine = self._images[key] = Future[BaseImage]()
        if known is not None:
            return known.result()
        try:
            mine.set_result(self._resolve(reference, platform))
        except BaseException as error:
            mine.set_exception(error)
        return mine.result()

    def _resolve(self, reference: Reference, platform: Platform) -> BaseImage:
        remote = resolve_image(self._services.registries, reference, platform)
        files = ImageFiles(self._services.layers, remote.layers, self._services.workers)
        return BaseImage(remote=remote, files=files)
