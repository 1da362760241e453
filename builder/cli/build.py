"""``builder build``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from builder.cli.build_options import build_options
from builder.cli.confidential import values
from builder.cli.in_place import Surroundings, choose, recover, recover_credentials
from builder.cli.options import BuildOptions
from builder.cli.outputs import outputs, tell
from builder.cli.profile import Profile
from builder.cli.registries import network_of
from builder.cli.session import Session
from builder.cli.startup import import_ahead
from builder.context.dockerfile import DockerfileSource, read_dockerfile
from builder.context.ignore import read_ignore
from builder.context.open import BuildContext, open_context
from builder.engine.request import BuildRequest, ImageFormat
from builder.errors import BuilderError
from builder.progress import log
from builder.registry.network import Network


def build(session: Session) -> int:
    """Build what the session's arguments ask for. Raises BuilderError."""
    recover_credentials(session)
    options = build_options(session.arguments, session.environment)
    session.redactor.add(values(options.confidential, session.environment))
    for note in options.notes:
        log(session.progress, "debug", note)
    recover(options, session)
    with _profiled(session, options.profile) as session:
        _build(options, session)
    return 0


@contextmanager
def _profiled(session: Session, path: Path | None) -> Iterator[Session]:
    """The session with a Profile between it and its renderer; the trace is written however the build ends."""
    profile = Profile(session.progress)
    try:
        yield replace(session, progress=profile)
    except BaseException:
        if path:
            try:
                profile.write(path, session.redactor)
            except BuilderError as error:
                log(session.progress, "warning", error.message)
        raise
    if path:
        profile.write(path, session.redactor)


def _build(options: BuildOptions, session: Session) -> None:
    network = network_of(options.registry, session)
    with open_context(
        options.context.spec,
        state_dir=options.state_dir,
        environment=session.environment,
        progress=session.progress,
        network=network,
    ) as context:
        dockerfile = read_dockerfile(options.dockerfile.name, context.root, network)
        around = Surroundings(context=context.root, dockerfile=dockerfile)
        request = build_request(options, context, dockerfile, session.environment)
        _execute(request, options, session, around, network)


def _execute(
    request: BuildRequest, options: BuildOptions, session: Session, around: Surroundings, network: Network
) -> None:
    # No thread may exist yet: the registries, the workers and the display start theirs below. What commands are forked
    # from should be small, and gets ready while the rest is imported.
    chosen = choose(options, session)
    from builder.cli.services import services
    from builder.engine.build import build

    import_ahead("builder.registry.http_transport")
    with services(options, session, chosen, around, network) as parts:
        result = build(request, parts)
    if result.digest:
        tell(request.outputs, result.digest, session.progress, result.kept)
        if isinstance(session.progress, Profile):
            log(session.progress, "info", session.progress.summary())


def build_request(
    options: BuildOptions, context: BuildContext, dockerfile: DockerfileSource, environment: Mapping[str, str]
) -> BuildRequest:
    """What the engine is asked for."""
    return BuildRequest(
        context=context.root,
        dockerfile=dockerfile.text,
        dockerfile_path=dockerfile.name,
        ignore=read_ignore(context.root, dockerfile.path),
        build_args=options.build_args,
        labels=options.labels,
        contexts=options.contexts,
        annotations=options.annotations,
        targets=options.targets,
        platform=options.platforms[0],
        platforms=options.platforms,
        outputs=outputs(options.output, options.registry),
        format=_format(options),
        provenance=options.output.provenance,
        single_snapshot=options.single_snapshot,
        environment=environment,
        confidential=options.confidential,
        ignore_paths=options.ignore_paths,
        no_cache=options.cache.unasked,
        no_cache_filter=options.cache.unasked_stages,
        network=options.network,
        materialize=options.in_place.materialize,
        dry_run=options.dry_run,
        check=options.check,
    )


def _format(options: BuildOptions) -> ImageFormat:
    output = options.output
    return ImageFormat(
        family=output.family,
        compression=output.compression,
        level=output.compression_level,
        epoch=output.epoch,
        reproducible=output.reproducible,
    )
