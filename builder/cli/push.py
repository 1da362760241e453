"""``builder push``: a docker archive or an OCI layout to registries."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from builder.cli.arguments import Arguments, refuse_later
from builder.cli.flags import PUSH_FLAGS
from builder.cli.options import PushOptions
from builder.cli.outputs import outputs, tell
from builder.cli.read_options import output_options, registry_options, state_dir
from builder.cli.registries import registries
from builder.cli.session import Session
from builder.errors import BuilderError, StorageError, UsageError
from builder.progress import log
from builder.storage.image import Image


def push(session: Session) -> int:
    """Push what the session's arguments name. Raises BuilderError."""
    from builder.engine.export import export
    from builder.registry.push import Pusher

    options = push_options(session.arguments, session.environment)
    for note in options.notes:
        log(session.progress, "debug", note)
    image = read_image(options.path)
    wanted = outputs(options.output, options.registry)
    client = registries(options.registry, session)
    session.signals.on_stop(client.interrupt)
    try:
        with Pusher(client, session.progress) as pusher:
            if wanted.check_permission:
                for destination in wanted.destinations:
                    pusher.check_permission(destination)
            export(image, wanted, pusher)
    finally:
        client.stop()
    tell(wanted, image.digest, session.progress)
    return 0


def push_options(arguments: Arguments, environment: Mapping[str, str]) -> PushOptions:
    """Raises UsageError, NotSupportedYet."""
    if len(arguments.positional) != 1:
        unexpected = f", not also {arguments.positional[1]!r}" if arguments.positional else ""
        raise UsageError(f"push needs the path of a docker archive or of an OCI layout{unexpected}")
    refuse_later(PUSH_FLAGS, arguments)
    output = output_options(arguments)
    if not output.destinations:
        raise UsageError("You must provide --destination")
    return PushOptions(
        path=Path(os.path.abspath(arguments.positional[0])),
        output=output,
        registry=registry_options(arguments),
        state_dir=state_dir(arguments, environment),
        notes=arguments.notes,
    )


def read_image(path: Path) -> Image:
    """The one image of the docker archive or OCI layout at `path`. Raises BuilderError."""
    if not path.exists():
        raise StorageError(f"{path} does not exist")
    if not path.is_dir():
        from builder.storage.docker_archive_reader import read_docker_archive

        return read_docker_archive(path)[0]
    from builder.storage.oci_layout import is_oci_layout, read_oci_layout

    if not is_oci_layout(path):
        raise StorageError(f"{path} is a directory, but no OCI layout: it has no oci-layout and index.json")
    return _only([image for _, image in read_oci_layout(path)], path)


def _only(images: list[Image], path: Path) -> Image:
    distinct = list({image.digest: image for image in images}.values())
    if len(distinct) != 1:
        raise BuilderError(
            f"{path} holds {len(distinct)} images, and one is pushed at a time",
            hint="give a layout with one image; an index of several platforms cannot be pushed yet"
            if distinct
            else None,
        )
    return distinct[0]
