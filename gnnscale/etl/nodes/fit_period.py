"""Up to when the rows of each table count for the statistics of its columns."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass

from gnnscale.query import show_time

log = logging.getLogger(__name__)

FITTED = 0.8
"""Share of all rows with times that count by default; what comes later is left to tests."""
FEW = 0.05
"""Share of a table's rows up to which the others' period is none for it."""


@dataclass(frozen=True)
class TimedRows:
    """How many rows of a table there are, from the time of the first to that of the last, in epoch seconds."""

    rows: int
    first: int
    last: int

    def share_by(self, time: int) -> float:
        """Share of them that is stamped by a time, if they came evenly."""
        if self.last == self.first:
            return float(time >= self.last)
        return min(max((time - self.first) / (self.last - self.first), 0.0), 1.0)

    @property
    def period(self) -> int:
        """When all but the last fifth of the table's own time has passed."""
        return self.last - (self.last - self.first) // 5


def default_period(tables: Mapping[str, TimedRows]) -> int:
    """The time by which :data:`FITTED` of all rows are stamped, if those of each table came evenly; 0 without any.

    A few rows that are much older than all others, as the opening days of shops are, hardly move it.
    """
    if not tables:
        return 0
    total = sum(table.rows for table in tables.values())
    low, high = min(table.first for table in tables.values()), max(table.last for table in tables.values())
    while low < high:
        middle = (low + high) // 2
        known = sum(table.rows * table.share_by(middle) for table in tables.values())
        if known < FITTED * total:
            low = middle + 1
        else:
            high = middle
    return low


def fit_periods(tables: Mapping[str, TimedRows], given: int | None) -> tuple[int, dict[str, int]]:
    """The time up to which rows count, and of each table with times its own.

    By default that is :func:`default_period`; a table that has hardly begun by then has a period of its own, which is
    told. Of what is given nothing is changed.

    Args:
        tables: those with times.
        given: what the configuration says, in epoch seconds.
    """
    if given is not None:
        return given, dict.fromkeys(tables, given)
    common, own = default_period(tables), {}
    for name, table in tables.items():
        own[name] = common
        if table.share_by(common) < FEW:
            own[name] = table.period
            log.info(
                "'%s' begins late, %s: statistics of its columns count what is known by %s",
                *(name, show_time(table.first), show_time(table.period)),
            )
    return common, own
