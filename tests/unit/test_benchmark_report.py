"""What the benchmarks make of their figures: medians, ratios, tables, charts, and the page that they are written to."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from benchmarks.chart import bars, lines
from benchmarks.document import replace_section
from benchmarks.figures import Figures, geometric_mean, markdown
from benchmarks.measure import Measurement
from benchmarks.report import DOCUMENT
from benchmarks.section_table import BUILDAH, OURS, TableSection
from benchmarks.sections import SECTIONS
from benchmarks.workloads import COLD

ROWS = [*(workload.name for workload in COLD), "cached"]


def run(wall: float) -> Measurement:
    return Measurement(wall=wall, user=1.0, system=0.5, peak=1000, pushed=2_000_000)


@pytest.fixture
def figures() -> Figures:
    """Buildah takes four times as long, in the median."""
    found = Figures()
    for row in ROWS:
        for wall in (1.0, 2.0, 9.0):
            found.add(row, OURS, run(wall))
            found.add(row, BUILDAH, run(wall * 4))
    return found


def test_medians_and_ratios(figures: Figures) -> None:
    middle = figures.of("runs", OURS)
    assert middle is not None and (middle.wall, middle.cpu) == (2.0, 1.5)
    assert figures.ratio("runs", BUILDAH, OURS) == 4.0
    assert figures.ratio("runs", "nobody", OURS) is None
    assert geometric_mean([2.0, 8.0]) == pytest.approx(4.0)


def test_the_table(figures: Figures) -> None:
    table = TableSection().table(figures)
    assert len({len(line) for line in table.splitlines()}) == 1
    assert table.splitlines()[-1].startswith("| geometric mean of the cold ones")
    assert " 4.00 |" in table.splitlines()[-1]
    assert TableSection().complete(figures)
    figures.runs.pop(("cached", BUILDAH))
    assert not TableSection().complete(figures)


def test_a_table_lines_up() -> None:
    table = markdown(["a", "n"], [["long", "1"], ["b", "22"]])
    assert table.splitlines() == ["| a    |  n |", "| ---- | -: |", "| long |  1 |", "| b    | 22 |"]


def test_charts_are_drawings(figures: Figures) -> None:
    (drawing,) = TableSection().charts(figures).values()
    for svg in (drawing, bars("t", ["<a>"], {"x": [1.0]}), lines("t", "s", {"x": [(1e3, 0.5), (1e5, 40.0)]})):
        assert ET.fromstring(svg).tag == "{http://www.w3.org/2000/svg}svg"


def test_a_section_of_the_page_is_replaced(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("a\n<!-- begin: x -->\nold\n<!-- end: x -->\nb\n")
    replace_section(page, "x", "new \\1")
    assert page.read_text() == "a\n<!-- begin: x -->\nnew \\1\n<!-- end: x -->\nb\n"
    with pytest.raises(ValueError, match="no markers for y"):
        replace_section(page, "y", "")


def test_the_page_has_a_place_for_every_section() -> None:
    text = DOCUMENT.read_text()
    for section in SECTIONS:
        assert text.count(f"<!-- begin: {section.name} -->") == text.count(f"<!-- end: {section.name} -->") == 1
