"""What the ``manifest`` commands have in common: from arguments to types, and from there to the registry."""

from __future__ import annotations

from pathlib import Path

from builder.cli.arguments import Arguments
from builder.cli.option_values import choice, pairs, path
from builder.cli.read_options import registry_options
from builder.cli.registries import registries
from builder.cli.session import Session
from builder.engine.export import write_digests
from builder.engine.request import Outputs
from builder.errors import InvalidReference, UsageError
from builder.image.media_types import Family
from builder.image.reference import Reference
from builder.progress import log
from builder.registry.join import Join, join


def target(text: str) -> Reference:
    """The reference that an index is pushed to. Raises UsageError."""
    reference = image(text)
    if reference.digest:
        raise UsageError(f"{text}: an index is pushed to a tag, not to a digest")
    return reference


def image(text: str) -> Reference:
    """The reference of an image. Raises UsageError."""
    try:
        return Reference.parse(text)
    except InvalidReference as error:
        raise UsageError(error.message, hint=error.hint) from None


def family(arguments: Arguments) -> Family | None:
    """``--format``; None for what the images are. Raises UsageError."""
    wanted = arguments.text("format").lower()
    return Family(choice("format", wanted, ("docker", "oci"))) if wanted else None


def index_annotations(arguments: Arguments) -> dict[str, str]:
    """``--annotation``, where BuildKit's ``index:`` before the key says nothing new. Raises UsageError."""
    return {
        key.removeprefix("index:"): value for key, value in pairs("annotation", arguments.many("annotation")).items()
    }


def publish(wanted: Join, session: Session) -> int:
    """Push the index, write the files that tell its digest, and print it as manifest-tool does. Raises BuilderError."""
    arguments = session.arguments
    for note in arguments.notes:
        log(session.progress, "debug", note)
    outputs = Outputs(
        destinations=wanted.destinations,
        digest_file=_path(arguments, "digest-file"),
        image_name_with_digest_file=_path(arguments, "image-name-with-digest-file"),
        image_name_tag_with_digest_file=_path(arguments, "image-name-tag-with-digest-file"),
    )
    client = registries(registry_options(arguments), session)
    session.signals.on_stop(client.interrupt)
    try:
        index = join(wanted, client)
    finally:
        client.stop()
    write_digests(outputs, index.digest, client.kept)
    for destination in wanted.destinations:
        log(session.progress, "info", f"pushed {destination.with_digest(index.digest)}")
    session.progress.close()
    print(f"Digest: {index.digest} {len(index.data)}", flush=True)
    return 0


def _path(arguments: Arguments, flag: str) -> Path | None:
    return path(arguments.text(flag))
