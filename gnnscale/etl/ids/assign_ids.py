"""Dense node ids of events, which have no key: by range and offset, a function of the rows alone."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from gnnscale.etl.sources.raw_tables import END, TIME, RawTable
from gnnscale.schema import RESERVED

NODE_ID = "node_id"
"""Column of the lake's tables that holds the id of a node."""

ROW_ID = f"{RESERVED}{NODE_ID}"
"""Column of raw rows that holds it."""

_RANGE = f"{RESERVED}range"
_ORDER = f"{RESERVED}order"

_PLACE_BITS = 33
"""Bits of ``monotonically_increasing_id`` that count the rows of a partition; those above tell the partition."""


def add_node_ids(raw: RawTable, ranges: int) -> DataFrame:
    """Number the rows 0 to n - 1, in order of time and then of a hash of the whole row.

    Rows that are the same in every column are interchangeable. The number of ranges changes how the work is cut,
    never the ids.

    Args:
        raw: the table.
        ranges: ranges that are numbered in parallel; one count for each is collected.

    Returns:
        The frame with column ``ROW_ID``, int64; rows in its order, a partition a range.
    """
    frame = raw.frame.withColumn(_ORDER, _hash(raw))
    timed = raw.table.time_column is not None
    leading = F.col(TIME) if timed else F.col(_ORDER)
    splits = _splits(frame, leading, ranges) if timed else _even_splits(ranges)
    frame = frame.withColumn(_RANGE, _range_of(leading, splits, 0, len(splits)))
    parts = len(splits) + 1
    counts = {row[_RANGE]: row["count"] for row in frame.groupBy(_RANGE).count().collect()} if splits else {}
    before = np.cumsum([0, *(counts.get(i, 0) for i in range(parts))])[:-1].tolist()
    # Rows meet in the partition that their range names, so Spark's own count within a partition is the place in it.
    ordered = frame.repartitionById(parts, _RANGE).sortWithinPartitions(leading, _ORDER)
    place = F.monotonically_increasing_id().bitwiseAND(F.lit((1 << _PLACE_BITS) - 1))
    offset = F.array(*(F.lit(count).cast("long") for count in before))[F.col(_RANGE)]
    return ordered.withColumn(ROW_ID, place + offset).drop(_RANGE, _ORDER)


def _hash(raw: RawTable) -> Column:
    # The time is hashed in its place of old, or ids would change.
    old = {TIME: "_time", END: "_end"}
    names = sorted(raw.frame.columns, key=lambda name: old.get(name, name))
    columns = [F.col(f"`{name}`") for name in names]
    # xxhash64 passes over nulls, so which columns are null is hashed beside.
    return F.xxhash64(*columns, *(column.isNull() for column in columns))


def _even_splits(ranges: int) -> list[int]:
    return [-(1 << 63) + (1 << 64) * i // ranges for i in range(1, ranges)]


def _splits(frame: DataFrame, column: Column, ranges: int) -> list[int]:
    if ranges == 1:
        return []
    shares = [i / ranges for i in range(1, ranges)]
    row = frame.agg(F.percentile_approx(column, shares, 1_000)).first()
    return sorted(set((row[0] if row else None) or []))


def _range_of(column: Column, splits: Sequence[int], low: int, high: int) -> Column:
    """How many splits a value is past, from ``low`` to ``high``, by halving."""
    if low == high:
        return F.lit(low)
    middle = (low + high) // 2
    upper, lower = _range_of(column, splits, middle + 1, high), _range_of(column, splits, low, middle)
    return F.when(column > F.lit(splits[middle]), upper).otherwise(lower)
