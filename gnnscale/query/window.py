"""Time windows relative to an anchor."""

from __future__ import annotations

import calendar
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Final

UNIT_SECONDS: Final = {"seconds": 1, "minutes": 60, "hours": 3_600, "days": 86_400, "weeks": 604_800}
"""Units of fixed length, in seconds."""

UNITS: Final = (*UNIT_SECONDS, "months")

LONG_AGO: Final = -(1 << 61)
"""Start of a window that begins at -INF, in epoch seconds."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST, _LAST = -62_135_596_800, 253_402_300_799


@dataclass(frozen=True)
class Window:
    """Half-open window ``(anchor + start, anchor + end]``.

    Args:
        start: units after the anchor, negative before it; None for -INF.
        end: units after the anchor.
        unit: one of ``UNITS``; months are calendar months, the day cut to the month's last.
        position: of the start in the query's text.
    """

    start: int | None
    end: int
    unit: str = "days"
    position: int = field(default=0, compare=False)

    def span(self, anchor: int) -> tuple[int, int]:
        """First (excluded) and last second of the window of an anchor, in epoch seconds."""
        begin = LONG_AGO if self.start is None else shift(anchor, self.start, self.unit)
        return begin, shift(anchor, self.end, self.unit)

    @property
    def length(self) -> int:
        """Units that the window covers.

        Raises:
            TypeError: it starts at -INF.
        """
        if self.start is None:
            raise TypeError("a window that starts at -INF has no length")
        return self.end - self.start

    def moved(self, units: int) -> Window:
        """The window ``units`` later."""
        return replace(self, start=None if self.start is None else self.start + units, end=self.end + units)

    def __str__(self) -> str:
        start = "-INF" if self.start is None else f"{self.start:+d}" if self.start else "anchor"
        end = f"{self.end:+d}" if self.end else "anchor"
        return f"({start}, {end}] {self.unit}"


def shift(time: int, amount: int, unit: str) -> int:
    """A time moved by ``amount`` units.

    Args:
        time: epoch seconds, UTC.
        amount: may be negative.
        unit: one of ``UNITS``.
    """
    if unit != "months":
        return time + amount * UNIT_SECONDS[unit]
    date = _EPOCH + timedelta(seconds=max(_FIRST, min(_LAST, time)))
    month = date.year * 12 + date.month - 1 + amount
    if not 12 <= month < 120_000:
        return LONG_AGO if amount < 0 else -LONG_AGO
    year, index = divmod(month, 12)
    day = min(date.day, calendar.monthrange(year, index + 1)[1])
    return int((date.replace(year=year, month=index + 1, day=day) - _EPOCH).total_seconds())
