"""The arguments of ``builder build`` to BuildOptions. Everything here raises UsageError for what makes no sense."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from builder.cli.arguments import Arguments, refuse_later
from builder.cli.confidential import confidential
from builder.cli.docker_config import proxy_build_args
from builder.cli.flags import BUILD_FLAGS
from builder.cli.go_values import boolean, integer
from builder.cli.option_values import choice, pairs, path, split
from builder.cli.options import (
    BuildOptions,
    CacheOptions,
    ContextOptions,
    DockerfileOptions,
    InPlaceOptions,
    OutputOptions,
)
from builder.cli.read_options import cache_place, destinations, output_options, registry_options, state_dir
from builder.context.directory import default_context
from builder.context.spec import ContextSpec, GitOptions
from builder.errors import UsageError
from builder.image.platform import Platform


def build_options(arguments: Arguments, environment: Mapping[str, str]) -> BuildOptions:
    """Raises UsageError, NotSupportedYet."""
    if arguments.positional:
        raise UsageError(
            f"unexpected argument {arguments.positional[0]!r}", hint="the context is named with --context (-c)"
        )
    refuse_later(BUILD_FLAGS, arguments)
    build_args = _build_args(arguments, environment)
    return BuildOptions(
        context=ContextOptions(spec=_context(arguments, environment)),
        dockerfile=DockerfileOptions(name=_dockerfile(arguments)),
        output=_output(arguments, _epoch(build_args, environment)),
        registry=registry_options(arguments),
        cache=_cache(arguments, environment),
        in_place=_in_place(arguments),
        build_args=build_args,
        labels=pairs("label", arguments.many("label")),
        contexts=pairs("build-context", arguments.many("build-context")),
        annotations=pairs("annotation", arguments.many("annotation")),
        targets=tuple(dict.fromkeys(target for target in arguments.many("target") if target)),
        platforms=_platforms(arguments),
        isolation=choice("isolation", arguments.text("isolation"), ("auto", "namespace", "in-place")),
        network=choice("network", arguments.text("network"), ("default", "none", "host")),
        snapshot_mode=choice("snapshot-mode", arguments.text("snapshot-mode"), ("full", "redo", "time")),
        single_snapshot=arguments.switch("single-snapshot"),
        ignore_paths=_ignore_paths(arguments),
        state_dir=state_dir(arguments, environment),
        confidential=confidential(arguments, environment),
        dry_run=arguments.switch("dryrun"),
        check=arguments.switch("check"),
        notes=(*arguments.notes, *_feature_flags(environment)),
        profile=path(arguments.text("profile")),
    )


def _feature_flags(environment: Mapping[str, str]) -> list[str]:
    return [f"{name} has no effect" for name in sorted(environment) if name.startswith("FF_KANIKO_")]


def _output(arguments: Arguments, epoch: int | None) -> OutputOptions:
    output = output_options(arguments, epoch=epoch)
    stops_early = arguments.switch("dryrun") or arguments.switch("check")
    if not output.destinations and not output.no_push and not stops_early:
        raise UsageError("You must provide --destination, or use --no-push")
    return output


def _context(arguments: Arguments, environment: Mapping[str, str]) -> ContextSpec:
    source = arguments.text("context")
    bucket = arguments.text("bucket")
    if not source and bucket:
        source = bucket if "://" in bucket else f"gs://{bucket}"
    elif "context" not in arguments.given:
        source = default_context(environment)
    return ContextSpec.parse(source, sub_path=arguments.text("context-sub-path"), git=_git(arguments))


def _git(arguments: Arguments) -> GitOptions:
    values = pairs("git", (part for text in arguments.many("git") for part in text.split(",")))
    known = ("branch", "single-branch", "depth", "recurse-submodules", "insecure-skip-tls")
    for key in values:
        choice("git", key, known)
    depth = integer(values.get("depth", "0"), "--git depth")
    if depth < 0:
        raise UsageError(f"--git depth is a number of commits, not {depth}")

    def switch(key: str) -> bool:
        return boolean(values.get(key, "false"), f"--git {key}")

    return GitOptions(
        branch=values.get("branch", ""),
        single_branch=switch("single-branch"),
        depth=depth,
        recurse_submodules=switch("recurse-submodules"),
        insecure_skip_tls=switch("insecure-skip-tls"),
    )


def _dockerfile(arguments: Arguments) -> str:
    name = arguments.text("dockerfile")
    if not name:
        raise UsageError("--dockerfile is empty")
    return name


def _build_args(arguments: Arguments, environment: Mapping[str, str]) -> dict[str, str]:
    """A name without a value takes the environment's, and is not set where that has none."""
    given: dict[str, str] = {}
    for text in arguments.many("build-arg"):
        name, equals, value = text.partition("=")
        if not name:
            raise UsageError(f"--build-arg takes NAME or NAME=VALUE, not {text!r}")
        if equals:
            given[name] = value
        elif name in environment:
            given[name] = environment[name]
    return proxy_build_args(environment) | given


def _epoch(build_args: Mapping[str, str], environment: Mapping[str, str]) -> int | None:
    text = build_args.get("SOURCE_DATE_EPOCH", environment.get("SOURCE_DATE_EPOCH", ""))
    if not text:
        return None
    seconds = integer(text, "SOURCE_DATE_EPOCH")
    if seconds < 0:
        raise UsageError(f"SOURCE_DATE_EPOCH is a number of seconds since 1970, not {seconds}")
    return seconds


def _platforms(arguments: Arguments) -> tuple[Platform, ...]:
    names = split(arguments.many("platform"))
    other = split(arguments.many("custom-platform"))
    if names and other:
        raise UsageError("--platform and --custom-platform are the same; use one of them")
    platforms = Platform.parse_all(names or other)
    if len(platforms) > 1:
        _check_several(arguments)
    return platforms or (Platform.host(),)


def _check_several(arguments: Arguments) -> None:
    """Raises UsageError for what makes no sense with more than one platform."""
    if arguments.text("tar-path"):
        raise UsageError(
            "--tar-path cannot be combined with more than one --platform: a docker archive holds one image",
            hint="use --oci-layout-path, or build the platforms one by one",
        )
    if arguments.switch("materialize"):
        raise UsageError("--materialize takes one --platform: there is only one filesystem to leave in place")


def _ignore_paths(arguments: Arguments) -> tuple[str, ...]:
    paths = tuple("/" + name.strip("/") for name in arguments.many("ignore-path") if name)
    return (*paths, "/var/run") if arguments.switch("ignore-var-run") else paths


def _names(lists: Iterable[str]) -> frozenset[str]:
    """The names in lists with commas, as stages have them."""
    return frozenset(name.strip().lower() for text in lists for name in text.split(",") if name.strip())


def local_cache(arguments: Arguments, environment: Mapping[str, str]) -> bool:
    """Whether layers are kept on this machine: not where the next job does not find them, nor if a flag says so."""
    if "cache" in arguments.given and not arguments.switch("cache"):
        return False
    return environment.get("CI", "").lower() in ("", "0", "false", "no")


def _cache(arguments: Arguments, environment: Mapping[str, str]) -> CacheOptions:
    enabled, repository = arguments.switch("cache"), arguments.text("cache-repo")
    place = cache_place(repository, destinations(arguments)) if enabled else None
    if enabled and place is None and not (arguments.switch("dryrun") or arguments.switch("check")):
        raise UsageError("--cache needs --cache-repo if there is no --destination to infer it from")
    return CacheOptions(
        local=local_cache(arguments, environment),
        unasked=arguments.switch("no-cache"),
        unasked_stages=_names(arguments.many("no-cache-filter")),
        enabled=enabled,
        repository=repository,
        place=place,
        directory=Path(os.path.abspath(arguments.text("cache-dir") or "/cache")),
        directory_given=bool(arguments.text("cache-dir")) and "cache-dir" in arguments.given,
        ttl=arguments.number("cache-ttl"),
        copy_layers=arguments.switch("cache-copy-layers"),
        run_layers=arguments.switch("cache-run-layers"),
        compressed=arguments.switch("compressed-caching"),
        push=not arguments.switch("no-push-cache"),
    )


def _in_place(arguments: Arguments) -> InPlaceOptions:
    return InPlaceOptions(
        directory=Path(os.path.abspath(arguments.text("kaniko-dir") or "/kaniko")),
        force=arguments.switch("force"),
        cleanup=arguments.switch("cleanup"),
        pre_cleanup=arguments.switch("pre-cleanup"),
        preserve_context=arguments.switch("preserve-context"),
        materialize=arguments.switch("materialize"),
    )
