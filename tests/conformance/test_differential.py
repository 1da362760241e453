"""The cases as the Docker Engine and Buildah build them; where they deviate, `differences.yaml` says why."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.builder import remove_tree
from support.listing import Image, list_image
from support.registry import LoopbackRegistry

from conformance.builds import Workshop
from conformance.case import Case, all_cases
from conformance.comparer import differences
from conformance.other_builders import OtherBuilder, UnknownFlag, buildah, docker_engine

BUILDERS = ("docker", "buildah")
_TABLE = Path(__file__).with_name("differences.yaml")
_NOW = re.compile(r"mtime is 1[7-9]\d{8}")
_DIGEST = re.compile(r"sha256 is .*")
_OWN_WAYS = ("~ layers", "~ history", "    is ", "    expected ")  # how many layers there are, and what is said of them
_COMPARED = ("architecture", "os", "variant", "author", "rootfs", "history")


@dataclass(frozen=True, slots=True, kw_only=True)
class Deviations:
    """What one builder does otherwise: `everywhere` as regular expressions of lines, `cases` line by line.

    What it does not survive is in `skipped`.
    """

    everywhere: Sequence[re.Pattern[str]]
    cases: Mapping[str, Sequence[str]]
    skipped: Mapping[str, str]

    @classmethod
    def read(cls, builder: str) -> Deviations:
        said: dict[str, Any] = yaml.safe_load(_TABLE.read_text())[builder]
        assert all(entry["why"] for entry in [*said["everywhere"], *said["cases"]]), "each deviation has a reason"
        return cls(
            everywhere=[re.compile(entry["line"]) for entry in said["everywhere"]],
            cases={case: entry.get("differs", []) for entry in said["cases"] for case in _cases_of(entry)},
            skipped={entry["case"]: entry["why"] for entry in said["cases"] if entry.get("skip")},
        )


def _cases_of(entry: Mapping[str, Any]) -> Sequence[str]:
    return entry["cases"] if "cases" in entry else [entry["case"]]


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
                pytest.param(other, case, id=f"{other}-{case.name}", marks=[] if case.sample else [pytest.mark.large])
                for other in BUILDERS
                for case in all_cases()
            ],
        )


@pytest.mark.parametrize("builder", BUILDERS)
def test_the_table_names_cases(builder: str) -> None:
    assert Deviations.read(builder).cases.keys() - {case.name for case in all_cases()} == set()


def test_other_builder(
    other: str, case: Case, request: pytest.FixtureRequest, workshop: Workshop, bases: Mapping[str, Image]
) -> None:
    deviations = Deviations.read(other)
    if case.name in deviations.skipped:
        pytest.skip(deviations.skipped[case.name])
    builder: OtherBuilder = request.getfixturevalue(other)
    found = _differences(builder, other, case, workshop, bases)
    left = [line for line in found if not any(pattern.fullmatch(line) for pattern in deviations.everywhere)]
    assert left == list(deviations.cases.get(case.name, [])), "\n".join(left)


def _differences(
    builder: OtherBuilder, other: str, case: Case, workshop: Workshop, bases: Mapping[str, Image]
) -> list[str]:
    """What is otherwise than the case says, in lines; one line where there is no image, or one that should not be."""
    directory = Path(tempfile.mkdtemp(prefix="other-", dir=workshop.directory))
    name = f"other/{case.name}"
    try:
        prepared = workshop.prepare(case, directory)
        outcome = builder.build(prepared, f"{workshop.registry.host}/{name}:{other}")
    except UnknownFlag as error:
        return [f"has no flag {error}"]
    finally:
        remove_tree(directory)
    if outcome.status:
        print(outcome.output)  # for those who read why
        return [] if case.error else ["fails"]
    if case.error:
        return ["does not fail"]
    image = _without_empty_fields(list_image(workshop.registry, name, other))
    lines = differences(case.expected, image, bases.get(case.expected.base)).splitlines()
    lines = [_DIGEST.sub("other content", line) for line in lines if not line.startswith(_OWN_WAYS)]
    return [_NOW.sub("mtime is now", line) for line in lines]


def _without_empty_fields(image: Image) -> Image:
    """Without what a builder writes of itself, or although it means nothing."""
    said = {name: value for name, value in image.config.items() if name in _COMPARED and value}
    config = {name: value for name, value in image.config["config"].items() if value}
    if labels := {name: value for name, value in config.pop("Labels", {}).items() if name != "io.buildah.version"}:
        config["Labels"] = labels
    return replace(image, config={**said, "config": config})
