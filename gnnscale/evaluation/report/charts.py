"""Small charts as inline SVG: no script, no request; colours come from the page's style sheet.

Classes that the page must style: ``axis``, ``grid``, ``line``, ``dot``, ``bar``, ``bar-main``, ``whisker``,
``halo``, for :func:`plane_chart` ``line-other``,
``dot-other`` and ``diagonal``, and, for text, ``tick``, ``label`` and ``value``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from markupsafe import Markup

from gnnscale.evaluation.report.page import figure

WIDTH: Final = 340
"""Width of a chart in user units, close to its width in pixels on a phone, so that text keeps its size."""

POINTS: Final = 400
"""Points of a line that are drawn; of longer ones, points at even steps and the last."""


@dataclass(frozen=True)
class Bar:
    """One bar.

    Args:
        label: stands above it.
        value: its length.
        low: lower end of the whisker; NaN for none.
        high: upper end of the whisker; NaN for none.
        main: whether this is the bar that the chart is about.
    """

    label: str
    value: float
    low: float = math.nan
    high: float = math.nan
    main: bool = False


@dataclass(frozen=True)
class Trace:
    """What :func:`plane_chart` draws.

    Args:
        points: (x, y), in the order of the line.
        name: stands above the chart; empty for none.
        line: whether the points are joined.
        dots: whether each point is marked.
        main: whether this is what the chart is about.
    """

    points: Sequence[tuple[float, float]]
    name: str = ""
    line: bool = True
    dots: bool = False
    main: bool = True


def ticks(low: float, high: float, wanted: int = 4) -> list[float]:
    """Round numbers (steps of 1, 2 or 5 times a power of ten) within ``[low, high]``, about ``wanted``."""
    if not high > low:
        return [low]
    raw = (high - low) / wanted
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= raw * 0.999)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [position * step for position in range(first, last + 1)]


def bar_chart(title: str, bars: Sequence[Bar], most: float | None = None) -> Markup:
    """Horizontal bars from zero, each with its whisker and its value.

    Args:
        title: read out in place of the picture.
        bars: top to bottom; values >= 0.
        most: where the scale ends; by default at the longest bar or whisker.

    Returns:
        An ``<svg>`` element, or a paragraph where there is no bar.
    """
    if not bars:
        return _nothing()
    left, right, pitch, thick = 2.0, 46.0, 38.0, 11.0
    ends = [end for bar in bars for end in (bar.value, bar.high) if math.isfinite(end)]
    top = most or max(ends, default=0.0) or 1.0
    scale = (WIDTH - left - right) / top
    bottom = pitch * len(bars) + 4
    parts = [_grid(left + tick * scale, bottom, tick) for tick in ticks(0.0, top)]
    for place, bar in enumerate(bars):
        y = place * pitch + 20
        kind, length = "bar bar-main" if bar.main else "bar", max(bar.value * scale, 0.5)
        parts.append(
            Markup('<text class="label" x="{}" y="{}">{}</text>').format(left + 4, _at(y - 6), bar.label)
            + Markup('<rect class="{}" x="{}" y="{}" width="{}" height="{}" rx="1.5"/>').format(
                kind, left, _at(y), _at(length), thick
            )
        )
        tip = left + length
        if math.isfinite(bar.low) and math.isfinite(bar.high):
            tip = left + bar.high * scale
            parts.append(_whisker(left + bar.low * scale, tip, y + thick / 2))
        parts.append(
            Markup('<text class="value" x="{}" y="{}">{}</text>').format(
                _at(max(tip, left + length) + 6), _at(y + thick - 1.5), figure(bar.value)
            )
        )
    return _svg(title, bottom + 18, parts)


def line_chart(title: str, x_label: str, points: Sequence[tuple[float, float]]) -> Markup:
    """A line through points, with the last value written at its end.

    Args:
        title: read out in place of the picture.
        x_label: unit of the horizontal axis, such as ``epoch``.
        points: (x, y), in the order of x; those that aren't finite are left out.

    Returns:
        An ``<svg>`` element, or a paragraph where there is no point.
    """
    finite = [(x, y) for x, y in points if math.isfinite(x) and math.isfinite(y)]
    if not finite:
        return _nothing()
    stride = math.ceil(len(finite) / POINTS)
    shown = finite[::stride] if finite[::stride][-1] == finite[-1] else [*finite[::stride], finite[-1]]
    frame = _Frame(
        _span([x for x, _ in finite], 0.0), _span([y for _, y in finite], 0.06), left=50.0, head=10.0, height=150.0
    )
    placed = [frame.place(point) for point in shown]
    end_x, end_y = placed[-1]
    parts = [
        *frame.parts(x_label),
        _polyline("line", placed),
        Markup('<circle class="dot" cx="{}" cy="{}" r="3"/>').format(_at(end_x), _at(end_y)),
        Markup('<text class="value" x="{}" y="{}">{}</text>').format(
            _at(end_x + 7), _at(end_y + 4), _short(finite[-1][1], 3)
        ),
    ]
    return _svg(title, frame.floor + 40, parts)


def plane_chart(
    title: str, x_label: str, y_label: str, traces: Sequence[Trace], diagonal: bool = False, from_zero: bool = True
) -> Markup:
    """Points and lines of two quantities.

    Args:
        title: read out in place of the picture.
        x_label: stands below the chart.
        y_label: stands above the chart.
        traces: what is drawn, the last on top; points that aren't finite are left out.
        diagonal: whether both axes have one scale and the line of equal values is drawn.
        from_zero: whether the axes start at zero, or below where values are below.

    Returns:
        An ``<svg>`` element, or a paragraph where there is no point.
    """
    kept = [(trace, [(x, y) for x, y in trace.points if math.isfinite(x) and math.isfinite(y)]) for trace in traces]
    xs, ys = ([point[axis] for _, points in kept for point in points] for axis in (0, 1))
    if not xs:
        return _nothing()
    if from_zero:
        xs, ys = [0.0, *xs], [0.0, *ys]
    if diagonal:
        xs = ys = [*xs, *ys]
    named = [trace for trace, _ in kept if trace.name]
    frame = _Frame(
        _span(xs, 0.0), _span(ys, 0.0), left=50.0, head=44.0 if named else 26.0, height=190.0, right=WIDTH - 16.0
    )
    parts = [Markup('<text class="tick" x="2" y="12">{}</text>').format(f"\N{UPWARDS ARROW} {y_label}")]
    parts += [_legend(trace, place) for place, trace in enumerate(named)]
    parts += frame.parts(x_label)
    if diagonal:
        parts.append(_polyline("diagonal", [frame.place((end, end)) for end in (min(xs), max(xs))]))
    for trace, points in kept:
        placed = [frame.place(point) for point in points]
        other = "" if trace.main else "-other"
        if trace.line and placed:
            parts.append(_polyline(f"line line{other}" if other else "line", placed))
        if trace.dots:
            parts += [
                Markup('<circle class="dot{}" cx="{}" cy="{}" r="3.5"/>').format(
                    f" dot{other}" if other else "", _at(x), _at(y)
                )
                for x, y in placed
            ]
    return _svg(title, frame.floor + 40, parts)


@dataclass(frozen=True)
class _Frame:
    """The axes of a chart: from values (x, y) to pixels, and what is drawn around them.

    Args:
        x: least and largest value across.
        y: least and largest value upwards.
        left: place of the vertical axis.
        head: place of the largest y.
        height: of the area, in user units.
        right: place of the largest x.
    """

    x: tuple[float, float]
    y: tuple[float, float]
    left: float
    head: float
    height: float
    right: float = WIDTH - 50.0

    @property
    def floor(self) -> float:
        return self.head + self.height

    def place(self, point: tuple[float, float]) -> tuple[float, float]:
        across = (self.right - self.left) / (self.x[1] - self.x[0])
        up = self.height / (self.y[1] - self.y[0])
        return self.left + (point[0] - self.x[0]) * across, self.floor - (point[1] - self.y[0]) * up

    def parts(self, x_label: str) -> list[Markup]:
        parts = []
        marks = ticks(*self.y)
        for tick in marks:
            _, y = self.place((self.x[0], tick))
            parts.append(
                Markup('<line class="grid" x1="{}" x2="{}" y1="{}" y2="{}"/>').format(
                    self.left, self.right, _at(y), _at(y)
                )
                + Markup('<text class="tick" x="{}" y="{}" text-anchor="end">{}</text>').format(
                    self.left - 6, _at(y + 4), _tick(tick, marks)
                )
            )
        for tick in ticks(*self.x):
            x, _ = self.place((tick, self.y[0]))
            parts.append(
                Markup('<text class="tick" x="{}" y="{}" text-anchor="middle">{}</text>').format(
                    _at(x), _at(self.floor + 16), _short(tick)
                )
            )
        parts += [
            Markup('<line class="axis" x1="{}" x2="{}" y1="{}" y2="{}"/>').format(
                self.left, self.right, _at(self.floor), _at(self.floor)
            ),
            Markup('<text class="tick" x="{}" y="{}" text-anchor="middle">{}</text>').format(
                _at((self.left + self.right) / 2), _at(self.floor + 32), x_label
            ),
        ]
        return parts


def _polyline(kind: str, placed: Sequence[tuple[float, float]]) -> Markup:
    path = " ".join(f"{_at(x)},{_at(y)}" for x, y in placed)
    return Markup('<polyline class="{}" points="{}"/>').format(kind, path)


def _legend(trace: Trace, index: int) -> Markup:
    """Name of a trace in the row above the chart."""
    x, kind = 50 + 120 * index, "" if trace.main else " line-other"
    return Markup('<line class="line{}" x1="{}" x2="{}" y1="28" y2="28"/>').format(kind, x, x + 18) + Markup(
        '<text class="label" x="{}" y="32">{}</text>'
    ).format(x + 24, trace.name)


def _svg(title: str, height: float, parts: Sequence[Markup]) -> Markup:
    head = Markup('<svg class="chart" viewBox="0 0 {} {}" role="img" aria-label="{}">').format(
        WIDTH, _at(height), title
    )
    return head + Markup("").join(parts) + Markup("</svg>")


def _grid(x: float, bottom: float, tick: float) -> Markup:
    line = Markup('<line class="{}" x1="{}" x2="{}" y1="4" y2="{}"/>').format(
        "grid" if tick else "axis", _at(x), _at(x), _at(bottom)
    )
    anchor = "middle" if tick else "start"
    return line + Markup('<text class="tick" x="{}" y="{}" text-anchor="{}">{}</text>').format(
        _at(x), _at(bottom + 14), anchor, _short(tick)
    )


def _whisker(low: float, high: float, y: float) -> Markup:
    a, b, top, bottom = _at(low), _at(high), _at(y - 3.5), _at(y + 3.5)
    path = f"M{a} {top}V{bottom}M{a} {_at(y)}H{b}M{b} {top}V{bottom}"
    # drawn twice, first wider in the colour of the page, so that it can be seen on any bar
    return Markup('<path class="halo" d="{0}"/><path class="whisker" d="{0}"/>').format(path)


def _nothing() -> Markup:
    return Markup('<p class="none">No values were recorded.</p>')


def _span(values: Sequence[float], margin: float) -> tuple[float, float]:
    low, high = min(values), max(values)
    if low == high:
        room = abs(low) * 0.1 or 1.0
        return low - room, high + room
    return low - (high - low) * margin, high + (high - low) * margin


def _at(position: float) -> str:
    return f"{position:.1f}"


def _tick(value: float, marks: Sequence[float]) -> str:
    """A tick with as many significant digits as tell it from its neighbors."""
    for digits in range(4, 10):
        if len({f"{mark:.{digits}g}" for mark in marks}) == len(marks):
            break
    return f"{value:.{digits}g}" if abs(value) < 10_000 else _short(value)


def _short(value: float, digits: int = 0) -> str:
    """A tick as few characters; a value with ``digits`` decimals, if it is large enough for them."""
    if abs(value) >= 10_000:
        return f"{value / 1000:,.4g}k"
    if digits and (value == 0 or 10.0**-digits <= abs(value) < 10):
        return f"{value:.{digits}f}"
    return f"{value:.4g}"
