"""The caches of a build, as its flags have them."""

from __future__ import annotations

import tempfile
from collections.abc import Set
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from builder.cache.base import LayerCache, Work
from builder.cache.freshness import Freshness
from builder.cache.local import LocalCache
from builder.cli.options import BuildOptions, CacheOptions
from builder.cli.registries import registries
from builder.cli.render.discreet import Discreet
from builder.cli.session import Session
from builder.progress import Level, log
from builder.registry.client import Registries
from builder.registry.policy import Backoff, RegistryPolicy
from builder.storage.blobs import BlobStore

_ATTEMPTS = 2
_SECONDS_TO_CONNECT = 10.0
_SECONDS_OF_SILENCE = 30.0


def layer_caches(
    options: BuildOptions, session: Session, client: Registries, blobs: BlobStore, stack: ExitStack
) -> tuple[LayerCache, ...]:
    """All caches of layers: this machine's first, which CI does without, then those shared with others."""
    near: tuple[LayerCache, ...] = ()
    if options.cache.local:
        near = (LocalCache(options.state_dir / "cache", blobs, session.progress),)
    return (*near, *shared_caches(options, session, client, stack))


def shared_caches(
    options: BuildOptions, session: Session, client: Registries, stack: ExitStack
) -> tuple[LayerCache, ...]:
    """The caches that ``--cache`` asks for; leaving `stack` waits for what is being stored in them.

    Args:
        client: what the build pushes with.
    """
    cache = options.cache
    if not cache.enabled or cache.place is None:
        return ()
    freshness = Freshness(ttl=cache.ttl / 1e9)
    if isinstance(cache.place, Path):
        from builder.cache.layout import LayoutCache

        return (LayoutCache(cache.place, _works(cache), freshness, session.progress, stores=cache.push),)
    from builder.cache.registry import RegistryCache

    quick = replace(options.registry, policy=_quick(options.registry.policy))
    # Credentials are read now: a build in place has their files out of the way when the cache is asked.
    lookups = registries(quick, replace(session, progress=Discreet(session.progress)), load=True)
    session.signals.on_stop(lookups.interrupt)
    stack.callback(lookups.stop)
    pushes = client if cache.push else None
    found = RegistryCache(cache.place, lookups, pushes, _works(cache), freshness, session.progress)
    return (stack.enter_context(found),)


def _works(options: CacheOptions) -> Set[Work]:
    """WORKDIR is always among them: its layers are tiny, and what follows one that is a miss would be one, too."""
    works: dict[Work, bool] = {"run": options.run_layers, "copy": options.copy_layers, "workdir": True}
    return {work for work, wanted in works.items() if wanted}


def _quick(policy: RegistryPolicy) -> RegistryPolicy:
    """How the cache is asked: itself, with the trust that pushing to it has, and not for long if it does not answer."""
    return replace(
        policy,
        insecure_pull=policy.insecure_pull or policy.insecure_push,
        skip_tls_pull=policy.skip_tls_pull or policy.skip_tls_push,
        mirrors=(),
        maps={},
        default_fallback=True,
        backoff=Backoff(attempts=_ATTEMPTS, longest=5.0),
        connect_timeout=_SECONDS_TO_CONNECT,
        read_timeout=_SECONDS_OF_SILENCE,
    )


def cache_mounts(options: BuildOptions, session: Session, dockerfile: bytes) -> Path:
    """Where ``RUN --mount=type=cache`` keeps its directories.

    That is below ``--cache-dir`` where it was given, so that CI can carry them from job to job; else in the state
    directory.
    """
    if not options.cache.directory_given:
        return options.state_dir / "mounts"
    place = options.cache.directory / "mounts"
    try:
        place.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=place):
            pass
    except OSError as error:
        where = options.state_dir / "mounts"
        problem = f"{place} cannot be written: {error.strerror}"
        level: Level = "warning" if b"type=cache" in dockerfile else "debug"  # base images alone may be read-only
        log(session.progress, level, f"cache mounts are kept in {where}, since {problem}")
        return where
    return place
