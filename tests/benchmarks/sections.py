"""The sections of the report, in their order on the page."""

from __future__ import annotations

from benchmarks.figures import Section
from benchmarks.section_cache import CacheSection
from benchmarks.section_growth import GrowthSection
from benchmarks.section_in_place import InPlaceSection
from benchmarks.section_table import TableSection

SECTIONS: tuple[Section, ...] = (TableSection(), CacheSection(), InPlaceSection(), GrowthSection())
