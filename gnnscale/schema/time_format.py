"""How times are written that are neither ISO 8601 nor of a type of times: patterns, and units of epoch numbers."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime
from itertools import product
from typing import Final

from gnnscale.schema.errors import SchemaError

EPOCH_UNITS: Final = {
    "seconds": 1,
    "milliseconds": 1_000,
    "microseconds": 1_000_000,
    "nanoseconds": 1_000_000_000,
}
"""Units of numbers that count from 1970 on, and how many of them a second has."""

DIRECTIVES: Final = {
    "Y": "y",
    "y": "y",
    "m": "M",
    "d": "d",
    "H": "H",
    "I": "h",
    "M": "m",
    "S": "s",
    "f": "S",
    "b": "MMM",
    "B": "MMMM",
    "p": "a",
    "z": "XX",
    "j": "D",
}
"""Letters after a percent sign, as ``strptime`` has them, and those of Spark's patterns."""

_WIDTHS: Final = {"Y": 4, "y": 2, "f": 6, "j": 3}

_DAYS: Final = (
    *("%d/%m/%Y", "%m/%d/%Y", "%d.%m.%Y", "%d-%m-%Y", "%m-%d-%Y", "%Y/%m/%d", "%Y%m%d", "%Y%m"),
    *("%d %b %Y", "%d-%b-%Y", "%b %d, %Y", "%d/%m/%y", "%m/%d/%y"),
)

_COMMON: Final = [
    f"{day}{time}" for day, time in product(_DAYS, ("", " %H:%M", " %H:%M:%S", " %I:%M %p", " %I:%M:%S %p"))
]


def spark_pattern(time_format: str) -> str:
    """A format of ``strptime`` as Spark writes it.

    Args:
        time_format: such as ``%d/%m/%Y %H:%M``; numbers may lack a zero before them where something stands between.

    Raises:
        SchemaError: a directive is not known, or none tells the year.
    """
    parts = re.findall(r"%.|[^%]+|%$", time_format, flags=re.DOTALL)
    known = all(part == "%%" or part[0] != "%" or part[1:] in DIRECTIVES for part in parts)
    if not known or not {"%Y", "%y"} & set(parts):
        raise SchemaError(
            f"time_format {time_format!r} is none; allowed are {', '.join(EPOCH_UNITS)}, and patterns with %Y or %y, "
            f"such as '%d/%m/%Y %H:%M', of {' '.join(f'%{letter}' for letter in DIRECTIVES)}"
        )
    written = []
    for place, part in enumerate(parts):
        if part == "%%" or part[0] != "%":
            written.append("'" + part.replace("%%", "%").replace("'", "''") + "'")
            continue
        letter = DIRECTIVES[part[1]]
        if len(letter) > 1:
            written.append(letter)
            continue
        beside = [parts[other] for other in (place - 1, place + 1) if 0 <= other < len(parts)]
        fixed = part[1] in _WIDTHS or any(other[0] == "%" and other[1:] in DIRECTIVES for other in beside)
        written.append(letter * _WIDTHS.get(part[1], 2) if fixed else letter)
    return "".join(written)


def fitting_formats(samples: Iterable[str]) -> list[str]:
    """Common formats that all samples are written in, day first before month first; none where there are no samples."""
    texts = [text.strip() for text in samples]
    return [form for form in _COMMON if texts and all(_fits(text, form) for text in texts)]


def epoch_unit(low: float, high: float) -> str:
    """The unit of numbers that are epoch times between 1970 and 2100, or seconds of any time.

    Args:
        low, high: the smallest and the largest of them.

    Raises:
        SchemaError: they look like dates that are written as numbers, or are not all of one unit.
    """
    for form, first, last in (("%Y%m%d", 19000101, 21001231), ("%Y%m", 190001, 210012), ("%Y", 1900, 2100)):
        if first <= low <= high <= last and all(_fits(f"{value:.0f}", form) for value in (low, high)):
            raise SchemaError(f"look like dates, from {low:.0f} to {high:.0f}; say time_format='{form}', or 'seconds'")
    units = {_unit(abs(value)) for value in (low, high) if value}
    if low >= 0 and len(units) > 1:
        raise SchemaError(
            f"go from {low:.0f} to {high:.0f}, which can't be epoch times of one unit; say time_format, one of "
            f"{', '.join(EPOCH_UNITS)}"
        )
    return _unit(max(abs(low), abs(high)))


def looks_like_epochs(low: float, high: float) -> bool:
    """Whether numbers are epoch times from 1980 to 2100 in one of the units."""
    return any(315_532_800 * parts <= low <= high <= 4_102_444_800 * parts for parts in EPOCH_UNITS.values())


def _unit(value: float) -> str:
    limits = {"seconds": 1e11, "milliseconds": 1e14, "microseconds": 1e17}
    return next((unit for unit, limit in limits.items() if value < limit), "nanoseconds")


def _fits(text: str, form: str) -> bool:
    # Years of four digits: strptime takes 12/01/10 for the year 10.
    if form == "%Y%m" and not re.fullmatch(r"\d{6}", text):
        return False
    if form.startswith("%Y%m%d") and not re.match(r"\d{8}", text):
        return False
    try:
        datetime.strptime(text, form)
    except ValueError:
        return False
    return True
