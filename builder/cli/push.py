"""``builder push``: a docker archive or an OCI layout to registries."""

from __future__ import annotations

from collections.abc import Mapping

from builder.cli.arguments import Arguments, refuse_later
from builder.cli.flags import PUSH_FLAGS
from builder.cli.options import PushOptions
from builder.cli.outputs import outputs, tell
from builder.cli.read_options import output_options, registry_options, state_dir
from builder.cli.registries import registries
from builder.cli.session import Session
from builder.errors import UsageError
from builder.progress import log


def push(session: Session) -> int:
    """Push what the session's arguments name. Raises BuilderError."""
    from builder.cli.push_source import PushSource
    from builder.engine.export import write_digests
    from builder.registry.push import Pusher
    from builder.registry.stored_push import push_stored
    from builder.storage.image import Image

    options = push_options(session.arguments, session.environment)
    for note in options.notes:
        log(session.progress, "debug", note)
    found = PushSource.parse(options.source).read()
    wanted = outputs(options.output, options.registry)
    client = registries(options.registry, session)
    session.signals.on_stop(client.interrupt)
    try:
        with Pusher(client, session.progress) as pusher:
            if wanted.check_permission:
                for repository in {each.name: each for each in wanted.destinations}.values():
                    pusher.check_permission(repository)
            if isinstance(found, Image):
                pusher.finish(found, wanted.destinations)
            else:
                push_stored(pusher, found, wanted.destinations)
    finally:
        client.stop()
    write_digests(wanted, found.digest, client.kept)
    tell(wanted, found.digest, session.progress, client.kept)
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
        source=arguments.positional[0],
        output=output,
        registry=registry_options(arguments),
        state_dir=state_dir(arguments, environment),
        notes=arguments.notes,
    )
