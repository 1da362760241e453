"""Compares what came of a build with what its case says."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

from support.listing import Image

from conformance.builds import Built, Workshop
from conformance.case import Case, Expected
from conformance.comparer import differences


def check(
    case: Case, built: Built, bases: Mapping[str, Image], workshop: Workshop, differs: Sequence[str] = ()
) -> None:
    """AssertionError if the image, the error or what was said is not the case's.

    Args:
        differs: regular expressions of the lines by which the image is allowed, and expected, to differ.
    """
    if case.error:
        for text in case.error:
            built.outcome.failed(re.escape(workshop.filled(text)), status=case.status)
    else:
        image = built.image
        assert image is not None, f"exit status {built.outcome.status}\n{built.outcome.output}"
        found = differences(_filled(case.expected, workshop), image, bases.get(case.expected.base))
        shown = f"{case.name}: {case.about}\n{workshop.filled(case.dockerfile)}\n{found}"
        lines = found.splitlines()
        assert len(lines) == len(differs), shown
        assert all(re.fullmatch(line, text) for line, text in zip(differs, lines, strict=True)), shown
    said = built.outcome.stdout + built.outcome.stderr
    assert [text for text in case.output if workshop.filled(text) not in said] == [], said
    assert [text for text in case.absent_output if text in said] == [], said


def _filled(expected: Expected, workshop: Workshop) -> Expected:
    if expected.history is None:
        return expected
    history = [replace(entry, created_by=workshop.filled(entry.created_by)) for entry in expected.history]
    return replace(expected, history=history)
