"""Co-occurrences of items as rows: who was bought together, in both directions, since when that is known."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pyarrow as pa
from numba import njit
from numpy.typing import NDArray
from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F
from pyspark.sql import types as T

from gnnscale.etl.derived.groups import group_codes
from gnnscale.etl.ids.key_columns import is_missing
from gnnscale.schema import AT, ITEM, OTHER, PairRows

DAY = 86_400

BATCH = 1 << 20
"""Rows that are handed on together, about."""

Ids = NDArray[np.int64]


def pair_rows(rows: DataFrame, pairs: PairRows, time: Column) -> DataFrame:
    """A row for each direction of each co-occurrence.

    Args:
        rows: that name items.
        pairs: how they go together.
        time: of the rows, in epoch seconds; rows without one take no part.

    Returns:
        Columns ``item``, ``other`` (of the items' type) and ``at`` (timestamp).
    """
    kind = rows.schema[pairs.item].dataType
    named = rows.select(F.col(pairs.group).alias("group"), F.col(pairs.item).alias(ITEM), time.alias("time"))
    named = named.where(F.col("group").isNotNull() & ~is_missing(F.col(ITEM), kind) & F.col("time").isNotNull())
    within = None if pairs.within_days is None else int(pairs.within_days * DAY)
    out = T.StructType([T.StructField(ITEM, kind), T.StructField(OTHER, kind), T.StructField("time", T.LongType())])
    # Whole groups go to one task each, so that what is paired does not depend on how the rows were cut before.
    found = named.repartition("group").mapInArrow(_pairer(within, pairs.max_group), out)
    if pairs.min_count > 1:
        # Of equal times any is the one that is left out: the rows are the same.
        order = Window.partitionBy(ITEM, OTHER).orderBy("time")
        found = found.withColumn("count", F.row_number().over(order)).where(F.col("count") >= pairs.min_count)
    return found.select(ITEM, OTHER, F.timestamp_seconds("time").alias(AT))


def pair_positions(groups: Ids, items: Ids, times: Ids, within: int | None, most: int) -> Iterator[tuple[Ids, Ids]]:
    """Positions of rows that occur together, the earlier and the later one; both ``[pairs]``, in batches.

    Args:
        groups: a number for each group, int64 ``[rows]``, sorted.
        items: a number for each item, int64 ``[rows]``.
        times: epoch seconds, int64 ``[rows]``, ascending within a group.
        within: most seconds between the two; None for any.
        most: rows of a group up to a row's time (and since ``within`` before it), above which it makes no pairs.
    """
    low, high = _windows(groups, times, -1 if within is None else within)
    counts = np.where(high - low <= most, np.arange(len(groups)) - low, 0)
    ends = np.cumsum(counts)
    cuts = np.searchsorted(ends, np.arange(BATCH, ends[-1] if len(ends) else 0, BATCH))
    for part in np.split(np.arange(len(groups)), np.unique(cuts)):
        count = counts[part]
        later = np.repeat(part, count)
        earlier = np.arange(len(later)) - np.repeat(np.cumsum(count) - count, count) + low[later]
        differ = items[earlier] != items[later]
        yield earlier[differ], later[differ]


@njit(nogil=True, cache=True)
def _windows(groups, times, within):  # type: ignore[no-untyped-def]
    """First row within reach of each row, and the row after the last of its time, both of its group."""
    low, high = np.zeros(len(groups), np.int64), np.zeros(len(groups), np.int64)
    first = end = 0
    for row in range(len(groups)):
        if row and groups[row] != groups[row - 1]:
            first = row
        while within >= 0 and times[first] < times[row] - within:
            first += 1
        end = max(end, row)
        while end < len(groups) and groups[end] == groups[row] and times[end] == times[row]:
            end += 1
        low[row], high[row] = first, end
    return low, high


def _pairer(within: int | None, most: int) -> Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    def pair(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        whole = [batch for batch in batches if batch.num_rows]
        if not whole:
            return
        table = pa.Table.from_batches(whole)
        groups, items, times = group_codes(table["group"]), group_codes(table[ITEM]), table["time"].to_numpy()
        order = np.lexsort((items, times, groups))
        columns = np.stack([groups[order], times[order], items[order]])
        # An item that two lines of one order name is there once.
        order = order[np.diff(columns, axis=1, prepend=-1).any(axis=0)] if len(order) else order
        groups, items, times = groups[order], items[order], times[order]
        named = table[ITEM].combine_chunks()
        for earlier, later in pair_positions(groups, items, times, within, most):
            ends = named.take(pa.array(order[earlier])), named.take(pa.array(order[later]))
            at = pa.array(times[later])
            for one, other in (ends, ends[::-1]):
                yield pa.RecordBatch.from_arrays([one, other, at], [ITEM, OTHER, "time"])

    return pair
