"""The parts of a build in place: the container whose root filesystem is lent out, and the isolation that runs in it."""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial
from pathlib import Path

from builder.cli.in_place import InPlaceProcesses, Surroundings, home, own_paths
from builder.cli.options import BuildOptions
from builder.cli.redaction import secrets_of
from builder.cli.session import Session
from builder.isolation.in_place.credentials import HiddenFiles, exposed_in
from builder.isolation.in_place.isolation import InPlaceIsolation
from builder.isolation.in_place.mounts import EmulatedMounts
from builder.isolation.in_place.preload import preload
from builder.progress import log
from builder.registry.keychain import config_directory
from builder.registry.network import Network
from builder.rootfs.in_place.container import Container
from builder.rootfs.in_place.context import PreservedContext
from builder.rootfs.in_place.protected import of_container


def in_place_parts(
    options: BuildOptions,
    session: Session,
    around: Surroundings,
    processes: InPlaceProcesses,
    scratch: Path,
    stack: ExitStack,
    network: Network,
) -> tuple[Container, InPlaceIsolation]:
    """Both are closed with `stack`: first the commands end, then the container's files are put back.

    Args:
        network: reads its certificates before the container's files are gone.
    """
    warn = partial(log, session.progress, "warning")
    place = home(options.in_place.directory, options.state_dir)
    protected = of_container(own_paths(options, session, around))
    context = PreservedContext(around.context, place, protected) if options.in_place.preserve_context else None

    def before() -> None:
        preload()
        network.tls.hold()
        exposed = exposed_in(secrets_of(session.environment))
        if exposed:
            warn(f"commands of the Dockerfile can read credentials in the environment of {', '.join(exposed)}")

    container = Container(protected, place, warn, before, context)
    stack.callback(container.restore, keep=options.in_place.materialize and not options.in_place.cleanup)
    mounts = EmulatedMounts(_own(options), scratch, protected.covers)
    config = config_directory(session.environment) / "config.json"
    hidden = HiddenFiles((config,), place / "hidden", processes.keeper, warn)
    isolation = InPlaceIsolation(processes.helper, mounts, hidden)
    stack.callback(processes.keeper.close)
    stack.callback(isolation.close)
    session.signals.on_stop(isolation.cancel_all)
    return container, isolation


def _own(options: BuildOptions) -> tuple[Path, ...]:
    """Where cache mounts may be, which are lent to a command and not copied."""
    return (options.state_dir, options.cache.directory) if options.cache.directory_given else (options.state_dir,)
