"""``builder warm``, and ``/kaniko/warmer``: base images into a cache directory."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from builder.cli.arguments import Arguments, refuse_later
from builder.cli.options import RegistryOptions
from builder.cli.read_options import registry_options
from builder.cli.registries import network_of, registries
from builder.cli.session import Session
from builder.cli.upkeep_flags import WARM_FLAGS
from builder.errors import BuilderError, Interrupted, UsageError
from builder.image.platform import Platform
from builder.image.reference import Reference
from builder.progress import log
from builder.registry.network import Network


@dataclass(frozen=True, slots=True, kw_only=True)
class WarmOptions:
    """All of ``builder warm``; `ttl` in nanoseconds."""

    images: tuple[Reference, ...]
    dockerfiles: tuple[str, ...]
    build_args: Mapping[str, str]
    platforms: tuple[Platform, ...]
    directory: Path
    ttl: int
    force: bool
    registry: RegistryOptions


def warm(session: Session) -> int:
    """Fetch what the session's arguments name. One image that cannot be had does not keep the others from it.

    Raises BuilderError; that of the last image if none could be had.
    """
    from builder.cache.freshness import Freshness
    from builder.cache.warm import Warmer, check_writable

    options = warm_options(session.arguments, session.environment)
    for note in session.arguments.notes:
        log(session.progress, "debug", note)
    wanted = list(dict.fromkeys(_wanted(options, network_of(options.registry, session))))
    check_writable(options.directory)
    client = registries(options.registry, session)
    session.signals.on_stop(client.interrupt)
    warmer = Warmer(options.directory, client, Freshness(ttl=options.ttl / 1e9), force=options.force)
    failures: list[BuilderError] = []
    try:
        for reference, platform in wanted:
            try:
                done = warmer.warm(reference, platform)
            except Interrupted:
                raise
            except BuilderError as error:
                failures.append(error)
                if len(failures) < len(wanted):
                    log(session.progress, "warning", f"{reference} for {platform} was not warmed: {error}")
                continue
            came = f"{done.fetched} of {done.blobs} blobs fetched" if done.fetched else "all of it was there"
            log(session.progress, "info", f"warmed {done.reference} for {platform}: {came}")
    finally:
        client.stop()
    if wanted and len(failures) == len(wanted):
        raise failures[-1]
    return 0


def warm_options(arguments: Arguments, environment: Mapping[str, str]) -> WarmOptions:
    """Raises UsageError, NotSupportedYet."""
    if arguments.positional:
        raise UsageError(f"unexpected argument {arguments.positional[0]!r}", hint="images are named with --image (-i)")
    refuse_later(WARM_FLAGS, arguments)
    dockerfiles = tuple(name for name in arguments.many("dockerfile") if name)
    images = tuple(Reference.parse(name.strip()) for name in arguments.many("image"))
    if not images and not dockerfiles:
        raise UsageError("You must select at least one image with --image, or a Dockerfile with --dockerfile")
    return WarmOptions(
        images=images,
        dockerfiles=dockerfiles,
        build_args=_build_args(arguments, environment),
        platforms=_platforms(arguments),
        directory=Path(os.path.abspath(arguments.text("cache-dir") or "/cache")),
        ttl=arguments.number("cache-ttl"),
        force=arguments.switch("force"),
        registry=registry_options(arguments),
    )


def _wanted(options: WarmOptions, network: Network) -> Iterator[tuple[Reference, Platform]]:
    from builder.context.dockerfile import read_dockerfile
    from builder.engine.base_names import base_names

    for platform in options.platforms:
        yield from ((reference, platform) for reference in options.images)
        for name in options.dockerfiles:
            source = read_dockerfile(name, Path.cwd(), network)
            for image, of_stage in base_names(source.text, source.name, options.build_args, platform):
                yield Reference.parse(image), of_stage


def _build_args(arguments: Arguments, environment: Mapping[str, str]) -> dict[str, str]:
    """A name without a value takes the environment's."""
    given: dict[str, str] = {}
    for text in arguments.many("build-arg"):
        name, equals, value = text.partition("=")
        if not name:
            raise UsageError(f"--build-arg takes NAME or NAME=VALUE, not {text!r}")
        if equals or name in environment:
            given[name] = value if equals else environment[name]
    return given


def _platforms(arguments: Arguments) -> tuple[Platform, ...]:
    lists = (*arguments.many("platform"), *arguments.many("custom-platform"))
    names = [name for text in lists for name in text.split(",") if name.strip()]
    return tuple(dict.fromkeys(Platform.parse(name) for name in names)) or (Platform.host(),)
