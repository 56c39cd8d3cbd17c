"""How pages are made: the templates' environment and how numbers are written in them."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from typing import Final

from jinja2 import Environment, PackageLoader, StrictUndefined

MISSING: Final = "\N{EN DASH}"
"""Stands where there is no number."""


def metric(value: float) -> str:
    """A metric between 0 and 1: three decimals."""
    return MISSING if math.isnan(value) else f"{value:.3f}"


def figure(value: float) -> str:
    """A number of any unit: about four digits, never fewer decimals than tell it from 0 (down to a millionth)."""
    if math.isnan(value):
        return MISSING
    size = abs(value)
    decimals = next((d for limit, d in ((0.0005, 6), (10, 3), (100, 2), (1000, 1)) if size < limit), 0)
    text = f"{size:,.{decimals}f}"
    if decimals == 6:
        text = text.rstrip("0").ljust(len("0.000"), "0")
    return f"\N{MINUS SIGN}{text}" if value < 0 and text != "0.000" else text


@cache
def page_environment(number: Callable[[float], str] = metric) -> Environment:
    """The environment of the templates, whose filters ``metric`` and ``signed`` write numbers by ``number``."""
    environment = Environment(
        loader=PackageLoader("gnnscale.evaluation.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )

    def signed(value: float) -> str:
        """A difference, with a minus as wide as the plus."""
        text = number(abs(value))
        if text in (MISSING, "0.000"):
            return text
        return f"+{text}" if value > 0 else f"\N{MINUS SIGN}{text}"

    environment.filters.update(metric=number, signed=signed, amount=_amount, share=share, duration=_duration)
    return environment


def share(value: float) -> str:
    """A share in percent, rounded, and never to all."""
    return "100 %" if value >= 1 else f"{min(round(value * 100, 1), 99.9):.1f} %"


def _amount(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:,.1f}"


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
