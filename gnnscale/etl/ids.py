"""Dense node ids of facts, which have no key: by range and offset, a function of the rows alone."""

from __future__ import annotations

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from gnnscale.etl.raw import TIME, RawTable

NODE_ID = "node_id"
_RANGE = "_range"
_ORDER = "_order"


def add_node_ids(raw: RawTable, ranges: int) -> DataFrame:
    """Number the rows 0 to n - 1, in order of time and then of a hash of the whole row.

    Rows that are the same in every column are interchangeable. The number of ranges changes how the work is cut,
    never the ids.

    Args:
        raw: the table.
        ranges: ranges that are numbered in parallel; one count for each is collected.

    Returns:
        The frame with column ``node_id``, int64.
    """
    frame = raw.frame.withColumn(_ORDER, _hash(raw))
    timed = raw.table.time_column is not None
    leading = F.col(TIME) if timed else F.col(_ORDER)
    splits = _splits(frame, leading, ranges) if timed else _even_splits(ranges)
    frame = frame.withColumn(_RANGE, _range_of(leading, splits))
    counts = {row[_RANGE]: row["count"] for row in frame.groupBy(_RANGE).count().collect()}
    offset = F.lit(0).cast("long")
    before = 0
    for index in range(len(splits) + 1):
        offset = F.when(F.col(_RANGE) == index, F.lit(before)).otherwise(offset)
        before += counts.get(index, 0)
    number = F.row_number().over(Window.partitionBy(_RANGE).orderBy(leading, F.col(_ORDER))).cast("long") - 1
    return frame.withColumn(NODE_ID, number + offset).drop(_RANGE, _ORDER)


def _hash(raw: RawTable) -> Column:
    columns = [F.col(f"`{name}`") for name in sorted(raw.frame.columns)]
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


def _range_of(column: Column, splits: list[int]) -> Column:
    index = F.lit(0)
    for split in splits:
        index = index + (column > F.lit(split)).cast("int")
    return index
