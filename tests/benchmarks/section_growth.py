"""Growth: the same kind of build, ten times as large each time."""

from __future__ import annotations

from collections.abc import Mapping

from benchmarks.chart import lines
from benchmarks.figures import Figures, markdown, megabytes, seconds

_OURS = "builder"
AMOUNTS: Mapping[str, tuple[int, ...]] = {
    "files": (1_000, 10_000, 100_000),
    "bytes": (10**7, 10**8, 10**9, 4 * 10**9),
    "runs": (1, 10, 50),
}
KINDS = tuple(AMOUNTS)
_TITLES = {
    "files": "Seconds by number of files copied",
    "bytes": "Seconds by bytes that a RUN writes",
    "runs": "Seconds by number of RUNs",
}
_UNITS = {"files": "files of 1 kB copied", "bytes": "bytes written by a RUN", "runs": "small RUNs"}


def row(kind: str, amount: int) -> str:
    return f"{amount:,} {_UNITS[kind]}"


def _chart(kind: str) -> str:
    return f"performance-{kind}.svg"


class GrowthSection:
    """Seconds, processor time and memory by amount."""

    name = "growth"

    def table(self, figures: Figures) -> str:
        found = [(name, figures.of(name, _OURS)) for name in figures.rows()]
        return markdown(
            ["cold, on the base of 670 MB", "seconds", "cpu", "memory", "pushed"],
            [
                [name, seconds(each.wall), seconds(each.cpu), megabytes(each.peak * 1024), megabytes(each.pushed)]
                for name, each in found
                if each
            ],
        )

    def text(self, figures: Figures) -> str:
        charts = "\n".join(f"![{_TITLES[kind]}]({_chart(kind)})" for kind in KINDS)
        return f"{self.table(figures)}\n\n{charts}"

    def complete(self, figures: Figures) -> bool:
        return figures.has([row(kind, amount) for kind in KINDS for amount in AMOUNTS[kind]], [_OURS])

    def charts(self, figures: Figures) -> Mapping[str, str]:
        return {_chart(kind): lines(_TITLES[kind], "seconds", self._points(figures, kind)) for kind in KINDS}

    def _points(self, figures: Figures, kind: str) -> Mapping[str, list[tuple[float, float]]]:
        found = [(amount, figures.of(row(kind, amount), _OURS)) for amount in AMOUNTS[kind]]
        return {_OURS: [(float(amount), each.wall) for amount, each in found if each]}
