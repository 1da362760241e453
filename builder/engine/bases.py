"""Base images: resolved once for a name and platform, their layers read once for all stages."""

from __future__ import annotations

import threading
from concurrent.futures import Future
from dataclasses import dataclass, replace

from builder.digest import Digest
from builder.engine.layers import Layer, completed
from builder.engine.named_contexts import NamedContexts
from builder.engine.services import Services
from builder.image.config import ImageConfig
from builder.image.media_types import Family
from builder.image.platform import Platform
from builder.image.reference import Reference
from builder.registry.pull import resolve_image
from builder.rootfs.image_files import ImageFiles
from builder.rootfs.tree import FileTree, SourceTree
from builder.storage.blob import Blob, FileBlob
from builder.storage.kept import KeptBlob


@dataclass(frozen=True, slots=True, kw_only=True)
class BaseImage:
    """An image that is built upon or copied from.

    Attributes:
        name: what it is called, with its digest.
    """

    name: str
    config: ImageConfig
    family: Family
    blobs: tuple[Blob, ...]
    files: ImageFiles

    def tree(self) -> FileTree:
        return self.files.tree()

    def layers(self) -> list[Future[Layer]]:
        """Its layers, which pass through as they are."""
        return [
            completed(Layer(blob=blob, diff_id=diff_id))
            for blob, diff_id in zip(self.blobs, self.config.diff_ids, strict=True)
        ]


class Bases:
    """The base images of one build, named contexts among them. Thread-safe."""

    def __init__(self, services: Services, contexts: NamedContexts) -> None:
        self._services, self.contexts = services, contexts
        self._lock = threading.Lock()
        self._images: dict[tuple[str, Platform], Future[BaseImage]] = {}
        self._sources: dict[tuple[str, Digest], KeptBlob] = {}

    def image(self, name: str, platform: Platform) -> BaseImage:
        """The image; the first who asks fetches its manifest and config.

        Raises InvalidReference, RegistryError, ManifestError; UsageError for a named context that is no image.
        """
        key = name, platform
        with self._lock:
            known = self._images.get(key)
            if known is None:
                mine = self._images[key] = Future[BaseImage]()
        if known is not None:
            return known.result()
        try:
            mine.set_result(self._resolve(name, platform))
        except BaseException as error:
            mine.set_exception(error)
        return mine.result()

    def used(self) -> list[tuple[Reference, Platform]]:
        """The images of registries that were asked for so far, with their digests, and for which platform."""
        with self._lock:
            known = list(self._images.items())
        return [
            (Reference.parse(image.result().name), platform)
            for (name, platform), image in known
            if image.done() and image.exception() is None and self.contexts.stored_image(name, platform) is None
        ]

    def tree(self, name: str, platform: Platform) -> SourceTree:
        """The files of an image or of a named context, for COPY --from. Raises as `image` does, and ContextError."""
        return self.contexts.tree(name) or self.copied(name, platform).tree()

    def copied(self, name: str, platform: Platform) -> BaseImage:
        """As `image`, for one that is copied from: its layers are read for their headers, then for files."""
        image = self.image(name, platform)
        image.files.keep()
        return image

    def _resolve(self, name: str, platform: Platform) -> BaseImage:
        stored = self.contexts.stored_image(name, platform)
        if stored is not None:
            what = f"{name}@{stored.digest}"
            config = ImageConfig.from_bytes(stored.config, what)
            return self._base(what, config, stored.manifest.family, stored.layers, "")
        reference = Reference.parse(self.contexts.renamed(name))
        images = self._services.images or self._services.registries
        remote = resolve_image(images, reference, platform, self._services.blobs)
        registry = remote.reference.registry
        return self._base(str(remote.reference), remote.config, remote.manifest.family, remote.layers, registry)

    def _base(
        self, name: str, config: ImageConfig, family: Family, blobs: tuple[Blob, ...], registry: str
    ) -> BaseImage:
        blobs = tuple(self._once(blob, registry) for blob in blobs)
        files = ImageFiles(self._services.layers, blobs, self._services.readers(registry))
        return BaseImage(name=name, config=config, family=family, blobs=blobs, files=files)

    def _once(self, blob: Blob, registry: str) -> Blob:
        """The same blob, which is downloaded once if it is known in time that it is read again."""
        if isinstance(blob.source, FileBlob):
            return blob
        key = registry, blob.descriptor.digest
        with self._lock:
            if key not in self._sources:
                self._sources[key] = KeptBlob(blob.source, blob.descriptor, self._services.scratch)
            return replace(blob, source=self._sources[key])
