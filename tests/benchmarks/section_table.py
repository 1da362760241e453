"""The workloads beside Buildah."""

from __future__ import annotations

from collections.abc import Mapping

from benchmarks.chart import bars
from benchmarks.figures import Figures, geometric_mean, markdown, megabytes, seconds
from benchmarks.workloads import COLD

OURS, BUILDAH = "builder", "Buildah"
CHART = "performance-workloads.svg"
_COLD = [workload.name for workload in COLD]
_ROWS = [*_COLD, "cached"]
_SAYS = {workload.name: workload.says for workload in COLD} | {"cached": "`runs` again, nothing changed"}


class TableSection:
    """Seconds, processor time, memory and pushed bytes of each workload."""

    name = "workloads"

    def table(self, figures: Figures) -> str:
        heads = ["seconds", *figures.columns(), "ratio"]
        for what in ("cpu", "memory", "pushed"):
            heads += [f"{what} {column}" for column in figures.columns()]
        lines = [self._line(figures, row) for row in figures.rows()]
        ratios = [ratio for row in _COLD if (ratio := figures.ratio(row, BUILDAH, OURS))]
        if ratios:
            empty = [""] * len(figures.columns())
            lines.append(["geometric mean of the cold ones", *empty, f"{geometric_mean(ratios):.2f}", *empty * 3])
        return markdown(heads, lines)

    def _line(self, figures: Figures, row: str) -> list[str]:
        found = [figures.of(row, column) for column in figures.columns()]
        ratio = figures.ratio(row, BUILDAH, OURS)
        return [
            f"{row}: {_SAYS[row]}",
            *(seconds(each and each.wall) for each in found),
            f"{ratio:.2f}" if ratio else "",
            *(seconds(each and each.cpu) for each in found),
            *(megabytes(each and each.peak * 1024) for each in found),
            *(megabytes(each and each.pushed) for each in found),
        ]

    def text(self, figures: Figures) -> str:
        return f"{self.table(figures)}\n\n![Seconds of each workload]({CHART})"

    def complete(self, figures: Figures) -> bool:
        return figures.has(_ROWS, (OURS, BUILDAH))

    def charts(self, figures: Figures) -> Mapping[str, str]:
        values = {
            column: [found.wall if (found := figures.of(row, column)) else 0.0 for row in _ROWS]
            for column in (BUILDAH, OURS)
        }
        return {CHART: bars("Seconds from start to pushed image (less is better)", _ROWS, values)}
