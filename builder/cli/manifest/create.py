"""``builder manifest create REF IMAGE...``: publish an index of the images under REF."""

from __future__ import annotations

from builder.cli.arguments import Arguments
from builder.cli.manifest.options import family, image, index_annotations, publish, target
from builder.cli.session import Session
from builder.errors import UsageError
from builder.image.platform import Platform
from builder.registry.children import platform_entry
from builder.registry.join import Join, Part


def create(session: Session) -> int:
    """Raises BuilderError."""
    return publish(create_options(session.arguments), session)


def create_options(arguments: Arguments) -> Join:
    """Raises UsageError."""
    if len(arguments.positional) < 2:
        raise UsageError(
            "manifest create needs the reference of the index, and those of its images",
            hint="builder manifest create REGISTRY/NAME:TAG IMAGE[=OS/ARCH[/VARIANT]]...",
        )
    name, *images = arguments.positional
    return Join(
        target=target(name),
        parts=tuple(_part(text) for text in images),
        family=family(arguments),
        annotations=index_annotations(arguments),
        amend=arguments.switch("amend"),
    )


def _part(text: str) -> Part:
    """``IMAGE`` or ``IMAGE=OS/ARCH[/VARIANT]``."""
    name, equals, platform = text.partition("=")
    if equals and not platform:
        raise UsageError(f"{text}: a platform is wanted behind the =, e.g. {name}=linux/arm64")
    return Part(references=(image(name),), platform=platform_entry(Platform.parse(platform)) if equals else None)
