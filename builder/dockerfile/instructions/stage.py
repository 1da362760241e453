"""FROM and ONBUILD."""

from __future__ import annotations

import re

from builder.dockerfile.instructions.flags import Flags, no_flags
from builder.dockerfile.instructions.parts import Parts
from builder.dockerfile.syntax import From, OnBuild
from builder.dockerfile.tokens import plain_words

_STAGE_NAME = re.compile(r"[a-z][a-z0-9-_.]*")


def parse_from(parts: Parts) -> From:
    flags = Flags(parts, texts=("platform",))
    words = plain_words(parts.rest)
    if len(words) not in (1, 3) or (len(words) == 3 and words[1].text.upper() != "AS"):
        at = words[1] if len(words) > 1 else None
        raise parts.error("FROM requires either one or three arguments", at, "write FROM IMAGE or FROM IMAGE AS NAME")
    name = words[2].text.lower() if len(words) == 3 else None
    if name is not None and not _STAGE_NAME.fullmatch(name):
        raise parts.error(
            f"invalid name for build stage: {words[2].text!r}",
            words[2],
            "a stage name begins with a letter and holds letters, digits, -, _ and . only",
        )
    return From(image=words[0].text, name=name, platform=flags.text("platform"), **parts.place)


def parse_on_build(parts: Parts) -> OnBuild:
    """The trigger's own syntax is checked by the caller, which knows all instructions."""
    no_flags(parts)
    if not parts.rest.text:
        raise parts.error("ONBUILD requires at least one argument")
    bodies = "".join(f"\n{heredoc.data}{heredoc.name}" for heredoc in parts.line.heredocs)
    return OnBuild(trigger=parts.rest.text + bodies, **parts.place)


def trigger_of(parts: Parts) -> Parts:
    """The parts of the instruction that an ONBUILD holds. Raises DockerfileError where it may not be one."""
    inner = Parts.of(parts.line.tail(parts.rest.start), parts.escape)
    check_trigger(inner)
    return inner


def check_trigger(parts: Parts) -> None:
    """Raises DockerfileError for an instruction that may not be a trigger."""
    if parts.keyword == "ONBUILD":
        raise parts.error("chaining ONBUILD via ONBUILD ONBUILD isn't allowed")
    if parts.keyword in ("FROM", "MAINTAINER"):
        raise parts.error(f"{parts.keyword} isn't allowed as an ONBUILD trigger")
