"""Builds with the cache of this machine, and what their logs say of it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from support.builder import Builder, Outcome

_STARTED = re.compile(r"(?m)^(\[[^\]]*\d+/\d+\]) ((?:RUN|COPY|ADD|WORKDIR)\b.*)$")
_ENDED = re.compile(r"(?m)^(\[[^\]]*\d+/\d+\]) (CACHED|DONE)(?: [^(\n]*)?(?:\((.*)\))?$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What the log of a build says.

    Attributes:
        cached: the instructions that came from a cache, and from where.
        built: those that were carried out, and why.
    """

    outcome: Outcome
    cached: Mapping[str, str]
    built: Mapping[str, str]


def told(outcome: Outcome) -> Told:
    """Read the plain log of a build that succeeded."""
    text = outcome.ok().stdout + outcome.stderr
    steps = {name: instruction.strip() for name, instruction in _STARTED.findall(text)}
    found = [each for each in _ENDED.findall(text) if each[0] in steps]
    assert {name for name, _, _ in found} == steps.keys(), text
    ends = [(steps[name], word, detail) for name, word, detail in found]
    return Told(
        outcome=outcome,
        cached={step: detail for step, word, detail in ends if word == "CACHED"},
        built={step: detail for step, word, detail in ends if word == "DONE"},
    )


def with_cache(builder: Builder) -> Builder:
    """The builder as it is outside of CI."""
    return builder.with_environment(CI="")


def records(builder: Builder) -> list[Path]:
    """The records of cached layers."""
    found = (builder.state / "cache/layers").glob("*/*.json")
    return sorted(path for path in found if not path.name.endswith(".inputs.json"))
