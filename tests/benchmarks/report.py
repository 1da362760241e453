"""Collects the figures of all runs, says them, and writes them to docs/performance.md."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from benchmarks import machine
from benchmarks.document import replace_section
from benchmarks.figures import Figures, Section
from benchmarks.measure import Measurement
from benchmarks.sections import SECTIONS

DOCUMENT = Path(__file__).parents[2] / "docs/performance.md"


@dataclass(slots=True)
class Report:
    """The figures of one session.

    Attributes:
        runs: how often each was measured.
        directory: where the runs took place.
        say: takes a line for the terminal.
    """

    runs: int
    directory: Path
    say: Callable[[str], None]
    _figures: dict[str, Figures] = field(default_factory=dict)

    def add(self, section: str, row: str, column: str, measurement: Measurement) -> None:
        """Note a run, and say it."""
        self._figures.setdefault(section, Figures()).add(row, column, measurement)
        self.say(f"{row} | {column}: {measurement}")

    def text(self) -> str:
        """Everything that was measured, as tables."""
        parts = [f"{machine.machine(self.directory)}; {machine.versions()}; median of {self.runs}"]
        parts += [section.table(figures) for section, figures in self._sections()]
        return "\n\n".join(parts)

    def write(self) -> list[str]:
        """Replace the sections of the document of which everything was measured; returns their names."""
        written = []
        for section, figures in self._sections():
            if section.complete(figures):
                where = f"Measured on {datetime.now(UTC):%Y-%m-%d}: {machine.machine(self.directory)}; "
                where += f"{machine.versions()}; medians of {self.runs} runs."
                replace_section(DOCUMENT, section.name, f"{where}\n\n{section.text(figures)}")
                for name, drawing in section.charts(figures).items():
                    (DOCUMENT.parent / name).write_text(drawing)
                written.append(section.name)
        return written

    def _sections(self) -> list[tuple[Section, Figures]]:
        return [(section, self._figures[section.name]) for section in SECTIONS if section.name in self._figures]
