"""Runs by row (what was built) and column (by whom), and what is made of them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from benchmarks.measure import Measurement, median


@dataclass(slots=True)
class Figures:
    """The runs of one section."""

    runs: dict[tuple[str, str], list[Measurement]] = field(default_factory=dict)

    def add(self, row: str, column: str, measurement: Measurement) -> None:
        self.runs.setdefault((row, column), []).append(measurement)

    def of(self, row: str, column: str) -> Measurement | None:
        """The median; None if it was not run."""
        found = self.runs.get((row, column))
        return median(found) if found else None

    def rows(self) -> list[str]:
        return list(dict.fromkeys(row for row, _ in self.runs))

    def columns(self) -> list[str]:
        return list(dict.fromkeys(column for _, column in self.runs))

    def has(self, rows: Iterable[str], columns: Iterable[str]) -> bool:
        return all((row, column) in self.runs for row in rows for column in columns)

    def ratio(self, row: str, slower: str, faster: str) -> float | None:
        """How many times as long `slower` takes."""
        ours, theirs = self.of(row, faster), self.of(row, slower)
        return theirs.wall / ours.wall if ours and theirs else None


class Section(Protocol):
    """A part of the report; `name` is also that of its markers in the page."""

    name: str

    def table(self, figures: Figures) -> str:
        """The figures as a table, whatever there is of them."""
        ...

    def text(self, figures: Figures) -> str:
        """What the page says: tables and charts."""
        ...

    def complete(self, figures: Figures) -> bool: ...

    def charts(self, figures: Figures) -> Mapping[str, str]:
        """SVG by file name."""
        ...


def geometric_mean(values: Iterable[float]) -> float:
    found = list(values)
    return math.exp(sum(map(math.log, found)) / len(found)) if found else 0.0


def markdown(heads: list[str], lines: Iterable[list[str]]) -> str:
    """A table whose columns line up in a terminal, too; the first is text, the others are numbers."""
    cells = [heads, *lines]
    widths = [max(len(line[n]) for line in cells) for n in range(len(heads))]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    aligned = [
        [line[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(line[1:], widths[1:], strict=True))] for line in cells
    ]
    return "\n".join(f"| {' | '.join(line)} |" for line in [aligned[0], rule, *aligned[1:]])


def seconds(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:.2f}" if value < 9.95 else f"{value:.1f}"


def megabytes(count: float | None) -> str:
    """Bytes as decimal megabytes."""
    if count is None:
        return ""
    return f"{count / 1e6:.1f}" if count < 99.95e6 else f"{count / 1e6:.0f}"
