"""A build whose every step is cached, beside Buildah."""

from __future__ import annotations

from collections.abc import Mapping

from benchmarks.figures import Figures, markdown, seconds

_OURS, _BUILDAH = "builder", "Buildah"
LOCAL = "20 steps again, nothing changed, same machine"
REGISTRY = "20 steps again, new machine, layers cached in a registry"


class CacheSection:
    """Seconds and processor time with the local and the registry's cache."""

    name = "cache"

    def table(self, figures: Figures) -> str:
        columns = figures.columns()
        lines = []
        for row in figures.rows():
            ratio, found = figures.ratio(row, _BUILDAH, _OURS), [figures.of(row, column) for column in columns]
            cpu = [seconds(each and each.cpu) for each in found]
            lines.append([row, *(seconds(each and each.wall) for each in found), f"{ratio:.2f}" if ratio else "", *cpu])
        return markdown(["seconds", *columns, "ratio", *(f"cpu {column}" for column in columns)], lines)

    def text(self, figures: Figures) -> str:
        return self.table(figures)

    def complete(self, figures: Figures) -> bool:
        return figures.has((LOCAL, REGISTRY), (_OURS, _BUILDAH))

    def charts(self, figures: Figures) -> Mapping[str, str]:
        return {}
