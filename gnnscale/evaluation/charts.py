"""Small charts as inline SVG: no script, no request; colours come from the page's style sheet.

Classes that the page must style: ``axis``, ``grid``, ``line``, ``dot``, ``bar``, ``bar-main``, ``whisker``,
``halo`` and, for text, ``tick``, ``label`` and ``value``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from markupsafe import Markup

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


def ticks(low: float, high: float, wanted: int = 4) -> list[float]:
    """Round numbers (steps of 1, 2 or 5 times a power of ten) within ``[low, high]``, about ``wanted``."""
    if not high > low:
        return [low]
    raw = (high - low) / wanted
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= raw * 0.999)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [position * step for position in range(first, last + 1)]


def bar_chart(title: str, bars: Sequence[Bar]) -> Markup:
    """Horizontal bars from zero, each with its whisker and its value.

    Args:
        title: read out in place of the picture.
        bars: top to bottom; values >= 0.

    Returns:
        An ``<svg>`` element, or a paragraph where there is no bar.
    """
    if not bars:
        return _nothing()
    left, right, pitch, thick = 2.0, 46.0, 38.0, 11.0
    ends = [end for bar in bars for end in (bar.value, bar.high) if math.isfinite(end)]
    top = max(ends, default=0.0) or 1.0
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
                _at(max(tip, left + length) + 6), _at(y + thick - 1.5), f"{bar.value:.3f}"
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
    left, right, head, height = 50.0, 50.0, 10.0, 150.0
    x_low, x_high = _span([x for x, _ in finite], 0.0)
    y_low, y_high = _span([y for _, y in finite], 0.06)
    across = (WIDTH - left - right) / (x_high - x_low)
    up = height / (y_high - y_low)
    placed = [(left + (x - x_low) * across, head + height - (y - y_low) * up) for x, y in shown]

    floor = head + height
    parts = []
    marks = ticks(y_low, y_high)
    for tick in marks:
        y = head + height - (tick - y_low) * up
        parts.append(
            Markup('<line class="grid" x1="{}" x2="{}" y1="{}" y2="{}"/>').format(left, WIDTH - right, _at(y), _at(y))
            + Markup('<text class="tick" x="{}" y="{}" text-anchor="end">{}</text>').format(
                left - 6, _at(y + 4), _tick(tick, marks)
            )
        )
    for tick in ticks(x_low, x_high):
        x = left + (tick - x_low) * across
        parts.append(
            Markup('<text class="tick" x="{}" y="{}" text-anchor="middle">{}</text>').format(
                _at(x), _at(floor + 16), _short(tick)
            )
        )
    path = " ".join(f"{_at(x)},{_at(y)}" for x, y in placed)
    end_x, end_y = placed[-1]
    parts += [
        Markup('<line class="axis" x1="{}" x2="{}" y1="{}" y2="{}"/>').format(
            left, WIDTH - right, _at(floor), _at(floor)
        ),
        Markup('<text class="tick" x="{}" y="{}" text-anchor="middle">{}</text>').format(
            _at((left + WIDTH - right) / 2), _at(floor + 32), x_label
        ),
        Markup('<polyline class="line" points="{}"/>').format(path),
        Markup('<circle class="dot" cx="{}" cy="{}" r="3"/>').format(_at(end_x), _at(end_y)),
        Markup('<text class="value" x="{}" y="{}">{}</text>').format(
            _at(end_x + 7), _at(end_y + 4), _short(finite[-1][1], 3)
        ),
    ]
    return _svg(title, floor + 40, parts)


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
