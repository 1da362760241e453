"""An image from the cache is the image that is built without it, to the last bit, whatever is a hit and what a miss."""

from __future__ import annotations

import io
import json
import random
import tarfile
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from support.builder import Builder, MakeBuilder
from support.builder_images import BuilderImage
from support.caching import records, told, with_cache
from support.contexts import write_context
from support.docker_daemon import DockerDaemon
from support.in_place import lasting_containers
from support.listing import list_image
from support.registry import LoopbackRegistry

DOCKERFILE = r"""
FROM BASE AS build
WORKDIR /src
COPY src/ ./
ARG VERSION=1
RUN cat main.c > /out && chmod 4755 /out && ln /out /out2 && echo $VERSION >> /out && mkdir -m 1777 /shared
RUN rm /src/main.c && mkdir /src/main.c && touch /src/main.c/inner && mkfifo /src/pipe

FROM build AS more
RUN rm -r /src/main.c && echo again > /src/main.c && mv /out /moved
USER app
WORKDIR made/by/user

FROM BASE AS unused
RUN false

FROM BASE
LABEL a=1
COPY --from=build /out /out2 /tools/
COPY --from=more --chown=app:staff /moved /src/main.c /etc/
RUN --mount=type=bind,from=more,target=/m cat /m/src/main.c > /seen
COPY --link --chmod=0700 src/sub /linked/
ENV MODE=fast PATH=/tools:$PATH
RUN rm -rf /usr/share/old && mkdir -p /usr/share/old/new && echo $MODE > /usr/share/old/new/file
COPY src/sub/ /usr/share/old/new/
RUN rm /usr/share/old/new/nested && ln -s file /usr/share/old/new/nested && chown 1000:50 /usr/share/old/new/file
ADD archive.tar /unpacked/
COPY <<FILE /doc
text
FILE
USER app:staff
WORKDIR /home/app/work
RUN touch mine && id > who
VOLUME /data
CMD ["sh"]
"""

_LONG = 1500
"""Seconds for many builds, and for making the builder's image."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Repeated:
    """One context, built again and again.

    Attributes:
        repository: where its tag ``it`` is pushed.
    """

    builder: Builder
    context: Path
    registry: LoopbackRegistry
    repository: str

    def digest(self, *flags: str) -> str:
        told(self.builder.build(self.context, f"--destination={self.registry.reference(self.repository)}:it", *flags))
        return self.registry.digest(self.repository, "it")

    def forget(self, instructions: Collection[str]) -> int:
        """Remove what the cache has for these instructions."""
        gone = [path for path in records(self.builder) if json.loads(path.read_text())["instruction"] in instructions]
        for path in gone:
            path.unlink()
        return len(gone)

    @property
    def instructions(self) -> list[str]:
        return sorted({json.loads(path.read_text())["instruction"] for path in records(self.builder)})


@pytest.fixture(scope="module")
def context(session_directory: Path, busybox: Mapping[str, str]) -> Path:
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        tar.add(__file__, arcname="in/archive")
    return write_context(
        session_directory / "context-equal",
        {
            "Dockerfile": DOCKERFILE.replace("BASE", busybox["oci"]),
            "src/main.c": "int main;\n",
            "src/sub/nested": "nested\n",
            "archive.tar": archive.getvalue(),
        },
    )


@pytest.fixture
def repeated(
    context: Path, registry: LoopbackRegistry, make_builder: MakeBuilder, scratch: Path, repository: str
) -> Callable[[str, str], Repeated]:
    def make(who: str, snapshotter: str) -> Repeated:
        builder = make_builder(who, scratch).with_environment(
            BUILDER_SNAPSHOTTER=snapshotter, SOURCE_DATE_EPOCH="1700000000"
        )
        return Repeated(builder=with_cache(builder), context=context, registry=registry, repository=repository)

    return make


def _combinations() -> Iterator[object]:
    for who in ("root", "user"):
        for snapshotter in ("overlay", "walk"):
            usual = (who, snapshotter) in (("root", "overlay"), ("user", "walk"))
            yield pytest.param(who, snapshotter, 3, marks=[] if usual else [pytest.mark.exhaustive])
            yield pytest.param(who, snapshotter, 12, marks=[pytest.mark.exhaustive, pytest.mark.timeout(_LONG)])


@pytest.mark.parametrize(("who", "snapshotter", "mixes"), list(_combinations()))
def test_whatever_mix(repeated: Callable[[str, str], Repeated], who: str, snapshotter: str, mixes: int) -> None:
    work = repeated(who, snapshotter)
    expected = work.digest("--reproducible", "--cache=false")
    assert not records(work.builder)
    assert work.digest("--reproducible") == expected, "the build that fills the cache"
    assert work.digest("--reproducible") == expected, "all from the cache"
    instructions = work.instructions
    chance = random.Random(mixes)
    for number in range(mixes):
        forgotten = chance.sample(instructions, chance.randint(1, len(instructions) - 1))
        assert work.forget(forgotten)
        assert work.digest("--reproducible") == expected, f"mix {number}: without {forgotten}"


@pytest.mark.exhaustive
@pytest.mark.timeout(_LONG)
def test_each_step_alone(repeated: Callable[[str, str], Repeated]) -> None:
    work = repeated("user", "overlay")
    expected = work.digest("--reproducible", "--cache=false")
    assert work.digest("--reproducible") == expected
    for instruction in work.instructions:
        others = [each for each in work.instructions if each != instruction]
        for forgotten in ([instruction], others):
            assert work.forget(forgotten)
            assert work.digest("--reproducible") == expected, f"without {forgotten}"


def test_a_cached_image_is_the_same_image_again(repeated: Callable[[str, str], Repeated]) -> None:
    """Even where nothing asks for it: its times are those of when its layers were built."""
    work = repeated("user", "overlay")
    work = replace(work, builder=work.builder.with_environment(SOURCE_DATE_EPOCH=""))
    first = work.digest()
    assert work.digest() == first
    config = list_image(work.registry, work.repository, "it").config
    assert config["created"] == max(entry["created"] for entry in config["history"])
    work.forget([instruction for instruction in work.instructions if instruction.startswith("RUN touch mine")])
    assert work.digest() != first


def test_what_was_made_upon_another_result_is_not_put_upon_this_one(
    registry: LoopbackRegistry, busybox: Mapping[str, str], user_builder: Builder, scratch: Path, repository: str
) -> None:
    """A RUN that gives something else each time: what follows it in the cache was made of what it gave before."""
    builder = with_cache(user_builder)
    context = write_context(
        scratch / "context",
        {
            "Dockerfile": f"FROM {busybox['oci']}\nRUN cat /proc/sys/kernel/random/uuid > /id\n"
            "RUN cp /id /copy\nWORKDIR /w\nRUN cat /id > seen\n"
        },
    )
    work = Repeated(builder=builder, context=context, registry=registry, repository=repository)
    work.digest()
    work.forget(["RUN cat /proc/sys/kernel/random/uuid > /id", "WORKDIR /w"])
    work.digest()
    image = list_image(registry, repository, "it")
    assert image.text("id") == image.text("copy") == image.text("w/seen")


@pytest.mark.exhaustive
@pytest.mark.timeout(_LONG)
@pytest.mark.usefixtures("as_root")
def test_in_place(
    docker: DockerDaemon, debug_image: BuilderImage, context: Path, registry: LoopbackRegistry, repository: str
) -> None:
    with lasting_containers(docker, docker.load(debug_image.archive), 1, context) as builder:
        work = Repeated(
            builder=builder.with_environment(SOURCE_DATE_EPOCH="1700000000"),
            context=context,
            registry=registry,
            repository=repository,
        )
        expected = work.digest("--reproducible", "--cache=false")
        assert work.digest("--reproducible") == expected, "the build that fills the cache"
        for flags in ([], ["--no-cache-filter=build"], ["--no-cache-filter=more"], ["--no-cache-filter=build,more"]):
            assert work.digest("--reproducible", *flags) == expected, flags
        assert work.digest("--reproducible", "--no-cache") == expected
