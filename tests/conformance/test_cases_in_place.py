"""The cases in place: in containers of the Docker Engine with its defaults, one build after another in each."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.listing import Image

from conformance.builds import Built, Workshop
from conformance.case import Case, all_cases
from conformance.checks import check

TABLE = yaml.safe_load(Path(__file__).with_name("in_place.yaml").read_text())
EXCEPTIONS: Mapping[str, Mapping[str, Any]] = {
    name: entry for entry in TABLE for name in entry.get("cases", [entry.get("case")])
}

ON_BUSYBOX_ALONE = {"copy-links/inside-a-tree-it-is-kept", "copy-metadata/capabilities-through-stages"}
"""They copy whole directories of the base, and say what is in those of busybox."""


def test_case(
    case: Case,
    system: str,
    build_in_place: Callable[[Case, str], Built],
    stalls: Mapping[str, tuple[Workshop, Mapping[str, Image]]],
) -> None:
    if system != "busybox" and case.name in ON_BUSYBOX_ALONE:
        pytest.skip("says what is in directories of busybox")
    built, (workshop, bases) = build_in_place(case, system), stalls[system]
    exception = EXCEPTIONS.get(case.name, {})
    if "error" in exception:
        built.outcome.failed(re.escape(exception["error"]))
    else:
        check(case, built, bases, workshop, exception.get("differs", ()))


def test_every_exception_has_a_case_and_a_reason() -> None:
    assert {case.name for case in all_cases()} >= EXCEPTIONS.keys() | ON_BUSYBOX_ALONE
    assert [name for name, entry in EXCEPTIONS.items() if not entry["why"]] == []
