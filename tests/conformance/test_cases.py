"""Every case in every combination of user and snapshotter: the image is the one that the case describes."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from support.listing import Image

from conformance.builds import Built, Workshop
from conformance.case import Case
from conformance.checks import check


def test_case(
    case: Case,
    combination: str,
    build: Callable[[Case, str], Built],
    bases: Mapping[str, Image],
    workshop: Workshop,
) -> None:
    check(case, build(case, combination), bases, workshop)
