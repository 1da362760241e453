"""The cases as the Docker Engine and Buildah build them: where they are not as described, `differences.yaml` says why."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from conformance.builds import Workshop
from conformance.case import Case, all_cases
from conformance.comparer import differences
from conformance.other_builders import OtherBuilder, UnknownFlag, buildah, docker_engine
from support.builder import remove_tree
from support.listing import Image, list_image
from support.registry import LoopbackRegistry

_TABLE = Path(__file__).with_name("differences.yaml")
_NOW = re.compile(r"mtime is 1[7-9]\d{8}")


def _table() -> dict[str, dict[str, Any]]:
    table: dict[str, dict[str, Any]] = yaml.safe_load(_TABLE.read_text()) if _TABLE.exists() else {}
    return table


@pytest.fixture(scope="session")
def docker(registry: LoopbackRegistry, as_root: None) -> Iterator[OtherBuilder]:
    with docker_engine(registry) as running:
        yield running


@pytest.fixture(scope="session", name="buildah")
def buildah_(registry: LoopbackRegistry, as_root: None) -> Iterator[OtherBuilder]:
    with buildah(registry) as running:
        yield running


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "other" in metafunc.fixturenames:
        metafunc.parametrize(
            ("other", "case"),
            [
                pytest.param(other, case, id=f"{case.name}-{other}", marks=[] if case.sample else [pytest.mark.large])
                for other in ("docker", "buildah")
                for case in all_cases()
            ],
        )


def test_the_table_names_cases() -> None:
    names = {case.name for case in all_cases()}
    assert [name for entries in _table().values() for name in entries if name not in names] == []


def test_other_builder(
    other: str, case: Case, request: pytest.FixtureRequest, workshop: Workshop, bases: Mapping[str, Image]
) -> None:
    entry = _table().get(other, {}).get(case.name, {})
    if entry.get("skip"):
        pytest.skip(entry["why"])
    builder: OtherBuilder = request.getfixturevalue(other)
    found = _differences(builder, other, case, workshop, bases)
    assert found == entry.get("differs", []), "\n".join(found)


def _differences(
    builder: OtherBuilder, other: str, case: Case, workshop: Workshop, bases: Mapping[str, Image]
) -> list[str]:
    """What is otherwise than the case says, in lines; one line if there is no image where one should be, or one too many."""
    directory = Path(tempfile.mkdtemp(prefix="other-", dir=workshop.directory))
    name = f"other/{case.name}"
    try:
        prepared = workshop.prepare(case, directory)
        outcome = builder.build(prepared, f"{workshop.registry.host}/{name}:{other}")
    except UnknownFlag as error:
        return [f"no flag {error}"]
    finally:
        remove_tree(directory)
    if outcome.status:
        print(outcome.output)  # for those who read why
        return [] if case.error else ["no image"]
    if case.error:
        return ["no error"]
    image = list_image(workshop.registry, name, other)
    lines = differences(case.expected, image, bases.get(case.expected.base)).splitlines()
    return [_NOW.sub("mtime is now", line) for line in lines if not _is_own_way(line)]


def _is_own_way(line: str) -> bool:
    """How many layers there are and how they are described, and a field that is there without a value."""
    return line.startswith(("~ layers", "~ history", "    is ", "    expected ")) or line.endswith("not expected: None")
