"""Named contexts (``--build-context NAME=SOURCE``): what takes the place of an image in FROM and ``--from``."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from builder.context.open import open_context
from builder.context.spec import ContextSpec
from builder.dockerfile.syntax import Copy, Dockerfile, Stage
from builder.errors import UsageError
from builder.image.config import ImageConfig
from builder.image.platform import Platform, best_match
from builder.progress import Progress
from builder.registry.network import Network
from builder.rootfs.disk_tree import DiskTree
from builder.storage.image import Image
from builder.storage.oci_layout import read_oci_layout

_IMAGE, _LAYOUT = "docker-image://", "oci-layout://"
_ALIAS = "named context "
"""Before the name of a context where the name alone would mean a stage; no reference begins so."""


class NamedContexts:
    """The named contexts of one build. Thread-safe.

    Args:
        sources: by name: a directory, ``docker-image://REFERENCE``, ``oci-layout://PATH[:TAG]``, or what ``--context``
            takes.
        stack: closes what was opened, when the build is over.
        scratch: where archives and repositories are unpacked.
        network: how other hosts are reached, None for what the environment says.
    """

    def __init__(
        self,
        sources: Mapping[str, str],
        stack: ExitStack,
        scratch: Path,
        environment: Mapping[str, str],
        progress: Progress,
        network: Network | None = None,
    ) -> None:
        self._sources = {name.lower(): source for name, source in sources.items()}
        self._stack, self._scratch = stack, scratch
        self._environment, self._progress, self._network = environment, progress, network
        self._trees: dict[str, DiskTree] = {}
        self._lock = threading.Lock()

    def over_stages(self, dockerfile: Dockerfile) -> Dockerfile:
        """The Dockerfile with each stage that has a context's name replaced by that context."""
        stages = tuple(self._replaced(stage) if stage.name in self._sources else stage for stage in dockerfile.stages)
        return replace(dockerfile, stages=stages)

    def _replaced(self, stage: Stage) -> Stage:
        alias = f"{_ALIAS}{stage.name}"
        if self._source(alias).startswith((_IMAGE, _LAYOUT)):
            return replace(stage, base=replace(stage.base, image=alias), instructions=())
        text = f"COPY --from={stage.name} / /"
        copy = Copy(location=stage.base.location, text=text, sources=("/",), destination="/", from_=alias)
        return replace(stage, base=replace(stage.base, image="scratch", platform=None), instructions=(copy,))

    def _source(self, name: str) -> str:
        return self._sources.get(name.removeprefix(_ALIAS).lower(), "")

    def renamed(self, name: str) -> str:
        """The reference that `name` stands for: itself, unless a context says otherwise."""
        source = self._source(name)
        if source.startswith(_IMAGE):
            return source.removeprefix(_IMAGE)
        if source:
            raise UsageError(f"the named context {name!r} ({source}) is no image", hint="use it with COPY --from")
        return name

    def stored_image(self, name: str, platform: Platform) -> Image | None:
        """The image of an OCI layout that `name` stands for, None if it stands for none. Raises UsageError."""
        source = self._source(name)
        if not source.startswith(_LAYOUT):
            return None
        path, tag = _path_and_tag(source.removeprefix(_LAYOUT))
        images = [
            image for found, image in read_oci_layout(path) if tag in (None, found, (found or "").rpartition(":")[2])
        ]
        by_platform = {ImageConfig.from_bytes(image.config, str(path)).platform: image for image in images}
        best = best_match(platform, by_platform)
        if best is None:
            raise UsageError(f"the OCI layout {path} has no image {tag or ''} for {platform}")
        return by_platform[best]

    def tree(self, name: str) -> DiskTree | None:
        """The files of a context that is a directory, an archive or a repository; None if `name` is none of these.

        Raises ContextError.
        """
        source = self._source(name)
        if not source or source.startswith((_IMAGE, _LAYOUT)):
            return None
        with self._lock:
            if source not in self._trees:
                context = open_context(
                    ContextSpec.parse(source),
                    state_dir=self._scratch,
                    environment=self._environment,
                    progress=self._progress,
                    network=self._network,
                )
                self._stack.enter_context(context)
                self._trees[source] = DiskTree(str(context.root))
            return self._trees[source]


def _path_and_tag(text: str) -> tuple[Path, str | None]:
    if Path(text).is_dir():
        return Path(text), None
    path, _, tag = text.rpartition(":")
    return Path(path or text), tag if path else None
