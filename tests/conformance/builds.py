"""Builds cases: makes what is around them, runs a builder on it, reads the image back."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from support.builder import Builder, Outcome, remove_tree
from support.listing import Image, list_image
from support.registry import LoopbackRegistry

from conformance.case import Case
from conformance.surroundings import make_files

_DIGEST = re.compile(r"@DIGEST:([a-z-]+)@")


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """What came of building a case; `image` is None if that failed."""

    outcome: Outcome
    image: Image | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A case's files on disk.

    Attributes:
        context: the directory with the Dockerfile.
        beside: the directory of what flags name.
    """

    context: Path
    beside: Path
    flags: Sequence[str]
    environment: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Workshop:
    """Where cases are built.

    Attributes:
        server: ``host:port`` of the web server.
        directory: a place that every user can enter.
    """

    registry: LoopbackRegistry
    server: str
    directory: Path

    def prepare(self, case: Case, directory: Path, owner: tuple[int, int] = (0, 0)) -> Prepared:
        """Write the case's Dockerfile, context and what is beside it into `directory`."""
        context, beside = directory / "context", directory / "beside"
        context.mkdir()
        beside.mkdir()
        if "Dockerfile" not in case.context:
            (context / "Dockerfile").write_bytes(self.filled(case.dockerfile, beside).encode())
        make_files(case.context, context, owner)
        make_files(case.also, beside, owner)
        return Prepared(
            context=context,
            beside=beside,
            flags=[self.filled(flag, beside) for flag in case.flags],
            environment={name: self.filled(value, beside) for name, value in case.environment.items()},
        )

    def filled(self, text: str, beside: Path | str = "") -> str:
        """`text` with the placeholders of cases replaced."""
        replaced = text.replace("@SERVER@", self.server).replace("@REGISTRY@", self.registry.host)
        replaced = replaced.replace("@BESIDE@", str(beside))
        return _DIGEST.sub(lambda found: self.registry.digest(f"library/{found[1]}", "latest"), replaced)

    def build(self, case: Case, builder: Builder, tag: str) -> Built:
        """Build a case with our own builder and push it as `tag`."""
        owner = (builder.account.uid, builder.account.gid) if builder.account else (os.getuid(), os.getgid())
        directory = Path(tempfile.mkdtemp(prefix="case-", dir=self.directory))
        directory.chmod(0o755)
        try:
            prepared = self.prepare(case, directory, owner)
            running = builder.with_environment(**prepared.environment)
            outcome = running.build(prepared.context, *self._flags(case, tag), *prepared.flags)
        finally:
            remove_tree(directory)
        image = None if outcome.status else list_image(self.registry, repository(case), tag)
        if image is not None:
            image = replace(image, layers=[_visible(layer) for layer in image.layers])
        return Built(outcome=outcome, image=image)

    def of_docker_hub(self) -> Sequence[str]:
        """The flags with which our own builder finds the bases."""
        return [f"--registry-map=index.docker.io={self.registry.host}", "--skip-default-registry-fallback"]

    def _flags(self, case: Case, tag: str) -> Sequence[str]:
        return [*self.of_docker_hub(), f"--destination={self.registry.host}/{repository(case)}:{tag}"]


def repository(case: Case) -> str:
    return f"conformance/{case.name}"


def _visible(layer: Sequence) -> Sequence:
    """A layer without an entry for the root itself, which says nothing."""
    return [(path, listing) for path, listing in layer if path.strip("./")]
