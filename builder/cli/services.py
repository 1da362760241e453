"""What a build works with: stores in the state directory, registries, isolation, threads."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from builder.cache.base_images import with_base_images
from builder.cli.caches import cache_mounts, layer_caches
from builder.cli.in_place import Chosen, Surroundings
from builder.cli.options import BuildOptions
from builder.cli.registries import registries
from builder.cli.session import Session
from builder.engine.services import Services, scratch_directory, worker_threads
from builder.isolation.base import Isolation
from builder.isolation.namespace import Prepared
from builder.linux.capabilities import Capability, effective
from builder.registry.network import Network
from builder.rootfs.directory import Ownership
from builder.rootfs.unpacked import LayerStore
from builder.storage.blobs import BlobStore

if TYPE_CHECKING:
    from builder.rootfs.in_place.container import Container


@contextmanager
def services(
    options: BuildOptions, session: Session, chosen: Chosen, around: Surroundings, network: Network
) -> Iterator[Services]:
    """The parts of one build; what it leaves running or on disk is ended and removed. Raises StorageError."""
    state, prepared = options.state_dir, chosen.prepared
    mounts = cache_mounts(options, session, around.dockerfile.text)
    client = registries(options.registry, session, load=chosen.in_place is not None, network=network)
    ownership = ownership_of(prepared)
    container: Container | None = None
    isolation: Isolation | None = prepared.isolation
    with ExitStack() as stack:
        scratch = stack.enter_context(scratch_directory(state))
        if prepared.isolation:
            stack.callback(prepared.isolation.close)
            session.signals.on_stop(prepared.isolation.cancel_all)
        if chosen.in_place is not None:
            from builder.cli.in_place_parts import in_place_parts

            container, isolation = in_place_parts(
                options, session, around, chosen.in_place, scratch, stack, client.network
            )
        overlay = container is None and _mounts_overlays(prepared, session, scratch)
        # On overlayfs itself, which is where containers are, the marks of an overlay's layers cannot be made.
        ownership = replace(ownership, overlay=overlay)
        threads = stack.enter_context(worker_threads(max(4, os.cpu_count() or 1)))
        stack.callback(client.stop)
        session.signals.on_stop(client.interrupt)
        blobs = BlobStore(state)
        yield Services(
            registries=client,
            images=with_base_images(options.cache.directory, client),
            progress=session.progress,
            blobs=blobs,
            layers=LayerStore(state / "layers", ownership, flavour(prepared, ownership), scratch, session.progress),
            scratch=scratch,
            cache_mounts=mounts,
            caches=layer_caches(options, session, client, blobs, stack),
            isolation=isolation,
            refusal=prepared.reason,
            ownership=ownership,
            overlay=overlay,
            workers=threads("packing"),
            readers=threads,
            container=container,
            advice=prepared.id_map.explanation if prepared.isolation and prepared.id_map.single else None,
        )


def _mounts_overlays(prepared: Prepared, session: Session, scratch: Path) -> bool:
    """Whether commands run on overlays. ``BUILDER_SNAPSHOTTER=walk`` says no, for the sake of tests."""
    if prepared.isolation is None or session.environment.get("BUILDER_SNAPSHOTTER") == "walk":
        return False
    return prepared.isolation.supports_overlay(scratch)


def ownership_of(prepared: Prepared) -> Ownership:
    """What this process may set on files, inside the user namespace if it has entered one."""
    held = effective()
    return Ownership(
        owners=Capability.CHOWN in held and not prepared.id_map.single,
        modes=Capability.DAC_OVERRIDE in held and Capability.FOWNER in held,
        opaque="user.overlay.opaque" if prepared.in_user_namespace else "trusted.overlay.opaque",
    )


def flavour(prepared: Prepared, ownership: Ownership) -> str:
    """A name for how files are unpacked here. Files unpacked under one name serve all builds that have this name."""
    if not ownership.modes:
        return "bytes"
    if not ownership.overlay:
        return "plain-" + flavour(prepared, replace(ownership, overlay=True))
    if not ownership.owners:
        return "single"
    if not prepared.in_user_namespace:
        return "root"
    ranges = (*prepared.id_map.uids, None, *prepared.id_map.gids)
    return "mapped-" + hashlib.sha256(repr(ranges).encode()).hexdigest()[:12]
