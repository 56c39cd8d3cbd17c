"""Periods of equal length, counted from the graph's origin."""

from __future__ import annotations

from pyspark.sql import Column
from pyspark.sql import functions as F

DAY = 86_400


def period_of(time: Column, period_days: int | None, origin: int) -> Column:
    """Index of the period that a time is in, int64; 0 for all where there is but one.

    Args:
        time: epoch seconds.
        period_days: length in days; None for one period that lasts for ever.
        origin: start of period 0, in epoch seconds.
    """
    if period_days is None:
        return F.lit(0).cast("long")
    return F.floor((time - F.lit(origin)) / F.lit(period_days * DAY)).cast("long")
