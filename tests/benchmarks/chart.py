"""Small charts as SVG, written by hand: bars beside one another, and lines over logarithmic axes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape

_COLORS = ("#9aa7b5", "#1f77b4", "#d0812f")
_WIDTH, _LEFT, _ROW, _BAR = 760, 96, 46, 17
_STYLE = "font-family='sans-serif' font-size='13' fill='#24292f'"


def bars(title: str, rows: Sequence[str], values: Mapping[str, Sequence[float]]) -> str:
    """Horizontal bars: for each row one of each series, with its value beside it."""
    highest = max(max(series) for series in values.values())
    scale = (_WIDTH - _LEFT - 60) / highest
    top = 64
    parts = [_text(_LEFT, 22, title, "font-weight='bold'"), *_legend(list(values), 44)]
    for index, row in enumerate(rows):
        y = top + index * _ROW
        parts.append(_text(_LEFT - 10, y + 22, row, "text-anchor='end'"))
        for place, series in enumerate(values.values()):
            length, bar = series[index] * scale, y + 2 + place * (_BAR + 2)
            parts.append(f"<rect x='{_LEFT}' y='{bar}' width='{length:.1f}' height='{_BAR}' fill='{_COLORS[place]}'/>")
            parts.append(_text(_LEFT + length + 6, bar + 13, f"{series[index]:.2f}"))
    return _svg(_WIDTH, top + len(rows) * _ROW + 8, parts)


def lines(title: str, unit: str, points: Mapping[str, Sequence[tuple[float, float]]]) -> str:
    """Lines through `points` with both axes logarithmic, and a dashed one that grows as its input does."""
    everything = [point for series in points.values() for point in series]
    across = _Axis([x for x, _ in everything], 60, 380)
    up = _Axis([y for _, y in everything], 230, 50)
    parts = [_text(60, 22, title, "font-weight='bold'"), _text(6, 42, unit)]
    parts.append("<path d='M60 50 V230 H390' fill='none' stroke='#57606a'/>")
    parts += [_text(across(x), 248, _short(x), "text-anchor='middle'") for x in sorted({x for x, _ in everything})]
    parts += [_text(54, up(y) + 4, f"{y:g}", "text-anchor='end'") for y in up.ticks()]
    first = next(iter(points.values()))
    end = first[0][1] * first[-1][0] / first[0][0]
    reach = min(end, up.high)
    until = first[0][0] * reach / first[0][1]
    parts.append(_path([(across(first[0][0]), up(first[0][1])), (across(until), up(reach))], "#57606a", "4 4"))
    for place, series in enumerate(points.values()):
        parts.append(_path([(across(x), up(y)) for x, y in series], _COLORS[place + 1], ""))
        parts += [
            f"<circle cx='{across(x):.1f}' cy='{up(y):.1f}' r='3' fill='{_COLORS[place + 1]}'/>" for x, y in series
        ]
    return _svg(410, 262, parts)


class _Axis:
    """Places of values on a logarithmic axis between two coordinates."""

    def __init__(self, values: Sequence[float], start: float, end: float) -> None:
        self.low, self.high = 10 ** math.floor(math.log10(min(values))), 10 ** math.ceil(math.log10(max(values)))
        self._start, self._length = start, end - start

    def __call__(self, value: float) -> float:
        share = math.log10(value / self.low) / (math.log10(self.high / self.low) or 1)
        return self._start + share * self._length

    def ticks(self) -> list[float]:
        first = round(math.log10(self.low))
        return [10.0**power for power in range(first, round(math.log10(self.high)) + 1)]


def _short(value: float) -> str:
    for limit, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= limit:
            return f"{value / limit:g}{letter}"
    return f"{value:g}"


def _legend(names: Sequence[str], y: int) -> list[str]:
    parts = []
    for place, name in enumerate(names):
        x = _LEFT + place * 110
        parts.append(f"<rect x='{x}' y='{y - 11}' width='12' height='12' fill='{_COLORS[place]}'/>")
        parts.append(_text(x + 18, y, name))
    return parts


def _path(points: Sequence[tuple[float, float]], color: str, dashes: str) -> str:
    places = " L".join(f"{x:.1f} {y:.1f}" for x, y in points)
    return f"<path d='M{places}' fill='none' stroke='{color}' stroke-width='2' stroke-dasharray='{dashes}'/>"


def _text(x: float, y: float, text: str, attributes: str = "") -> str:
    return f"<text x='{x:.1f}' y='{y:.1f}' {_STYLE} {attributes}>{escape(text)}</text>"


def _svg(width: int, height: int, parts: Sequence[str]) -> str:
    head = f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {width} {height}' width='{width}' height='{height}'>"
    return "\n".join([head, f"<rect width='{width}' height='{height}' fill='#ffffff'/>", *parts, "</svg>", ""])
