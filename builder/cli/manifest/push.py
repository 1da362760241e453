"""``builder manifest push from-args`` and ``from-spec``, with manifest-tool's arguments."""

from __future__ import annotations

from collections.abc import Sequence

from builder.cli.arguments import Arguments
from builder.cli.manifest.options import family, image, index_annotations, publish, target
from builder.cli.manifest.spec import read_spec
from builder.cli.manifest.template import names
from builder.cli.option_values import split
from builder.cli.session import Session
from builder.errors import InvalidReference, UsageError
from builder.image.platform import Platform
from builder.image.reference import Reference
from builder.registry.children import platform_entry
from builder.registry.join import Join, Part

_ARGS_ALONE = ("platforms", "template", "target", "tags")


def push(session: Session) -> int:
    """Raises BuilderError."""
    return publish(push_options(session.arguments), session)


def push_options(arguments: Arguments) -> Join:
    """Raises UsageError."""
    kind, *rest = arguments.positional or ("",)
    if kind == "from-args":
        return _from_args(arguments, rest)
    if kind == "from-spec":
        return _from_spec(arguments, rest)
    raise UsageError(
        f"manifest push {kind}: from-args or from-spec is wanted" if kind else "manifest push needs to know from what",
        hint="builder manifest push from-args --platforms ... --template ... --target ..., or from-spec FILE.yaml",
    )


def _from_args(arguments: Arguments, rest: Sequence[str]) -> Join:
    if rest:
        raise UsageError(f"unexpected argument {rest[0]!r}")
    for flag in ("platforms", "template", "target"):
        if flag not in arguments.given:
            raise UsageError(f"manifest push from-args needs --{flag}")
    platforms = split(arguments.many("platforms"))
    if not platforms:
        raise UsageError("--platforms names no platform")
    Platform.parse_all(platforms)  # each once, and known
    parts = tuple(_part(arguments.text("template"), platform) for platform in platforms)
    _check_distinct(parts, platforms)
    return Join(
        target=target(arguments.text("target")),
        parts=parts,
        tags=checked_tags(target(arguments.text("target")), split(arguments.many("tags"))),
        family=family(arguments),
        annotations=index_annotations(arguments),
        ignore_missing=arguments.switch("ignore-missing"),
    )


def _part(template: str, platform: str) -> Part:
    return Part(
        references=tuple(image(name) for name in names(template, platform)),
        platform=platform_entry(Platform.parse(platform)),
    )


def _check_distinct(parts: Sequence[Part], platforms: Sequence[str]) -> None:
    known: dict[Reference, str] = {}
    for part, platform in zip(parts, platforms, strict=True):
        reference = part.references[0]
        if reference in known:
            raise UsageError(
                f"the template names {reference} for both {known[reference]} and {platform}",
                hint="put OS, ARCH and VARIANT into it, as far as the platforms differ in them",
            )
        known[reference] = platform


def _from_spec(arguments: Arguments, rest: Sequence[str]) -> Join:
    if len(rest) != 1:
        raise UsageError(f"manifest push from-spec needs the path of one YAML file{', not more' if rest else ''}")
    for flag in _ARGS_ALONE:
        if flag in arguments.given:
            raise UsageError(f"--{flag} is for from-args; with from-spec the file says it")
    spec = read_spec(rest[0])
    return Join(
        target=spec.target,
        parts=spec.parts,
        tags=checked_tags(spec.target, spec.tags),
        family=family(arguments),
        annotations={**spec.annotations, **index_annotations(arguments)},
        ignore_missing=arguments.switch("ignore-missing"),
    )


def checked_tags(reference: Reference, tags: Sequence[str]) -> tuple[str, ...]:
    """More tags, each once and not the reference's own. Raises UsageError for one that is none."""
    for tag in tags:
        try:
            Reference.parse(f"{reference.name}:{tag}")
        except InvalidReference:
            raise UsageError(
                f"{tag!r} is not a tag", hint=f"just the tag is wanted; {reference.name} is known"
            ) from None
    return tuple(dict.fromkeys(tag for tag in tags if tag != reference.tag))
