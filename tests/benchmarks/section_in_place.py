"""In place beside namespaces."""

from __future__ import annotations

from collections.abc import Mapping

from benchmarks.figures import Figures, markdown, seconds
from benchmarks.workloads import COLD

_OURS, _IN_PLACE = "builder", "in place"


class InPlaceSection:
    """Seconds of each workload in both isolations."""

    name = "in-place"

    def table(self, figures: Figures) -> str:
        lines = []
        for row in figures.rows():
            ratio, found = figures.ratio(row, _IN_PLACE, _OURS), [figures.of(row, each) for each in (_OURS, _IN_PLACE)]
            walls = [seconds(each and each.wall) for each in found]
            lines.append([row, *walls, f"{ratio:.2f}" if ratio else ""])
        return markdown(["seconds", "in namespaces", "in place", "ratio"], lines)

    def text(self, figures: Figures) -> str:
        return self.table(figures)

    def complete(self, figures: Figures) -> bool:
        return figures.has([workload.name for workload in COLD], (_OURS, _IN_PLACE))

    def charts(self, figures: Figures) -> Mapping[str, str]:
        return {}
