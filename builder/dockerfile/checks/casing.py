"""Checks of upper and lower case: StageNameCasing, FromAsCasing, ConsistentInstructionCasing."""

from __future__ import annotations

from collections.abc import Iterator

from builder.dockerfile.checks.finding import Finding
from builder.dockerfile.syntax import Dockerfile, From, Instruction
from builder.dockerfile.tokens import cut, plain_words


def check_casing(dockerfile: Dockerfile) -> Iterator[Finding]:
    for stage in dockerfile.stages:
        yield from _stage_name(stage.base)
    yield from _instructions([item for stage in dockerfile.stages for item in (stage.base, *stage.instructions)])


def _stage_name(base: From) -> Iterator[Finding]:
    keyword, _, rest = cut(base.text)
    words = plain_words(rest)
    if len(words) != 3:
        return
    name, as_ = words[2].text, words[1].text
    if name != name.lower():
        message = f"Stage name '{name}' should be lowercase"
        yield Finding(name="StageNameCasing", location=base.location, message=message)
    if _is_consistent(keyword.text) and (keyword.text.islower(), keyword.text.isupper()) != (
        as_.islower(),
        as_.isupper(),
    ):
        message = f"'{as_}' and '{keyword.text}' keywords' casing do not match"
        yield Finding(name="FromAsCasing", location=base.location, message=message)


def _instructions(instructions: list[Instruction]) -> Iterator[Finding]:
    keywords = [cut(instruction.text).keyword.text for instruction in instructions]
    lower = sum(keyword.islower() for keyword in keywords)
    upper = sum(keyword.isupper() for keyword in keywords)
    wanted = "lowercase" if lower > upper else "uppercase"
    for instruction, keyword in zip(instructions, keywords, strict=True):
        if not (keyword.islower() if lower > upper else keyword.isupper()):
            message = f"Command '{keyword}' should match the case of the command majority ({wanted})"
            yield Finding(name="ConsistentInstructionCasing", location=instruction.location, message=message)


def _is_consistent(keyword: str) -> bool:
    return keyword.islower() or keyword.isupper()
