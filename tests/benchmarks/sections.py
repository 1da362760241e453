"""The sections of the report, in their order on the page."""

from __future__ import annotations

from benchmarks.figures import Section
from benchmarks.section_table import TableSection

SECTIONS: tuple[Section, ...] = (TableSection(),)
