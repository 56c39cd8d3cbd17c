"""Small Spark frames and raw tables for the tests of the graph stage's parts."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from gnnscale.etl.sources.raw_tables import TIME, RawTable
from gnnscale.schema import Table


def frame_of(spark: SparkSession, **columns: Any) -> DataFrame:
    """A frame of these columns; a pyarrow array keeps its type."""
    return spark.createDataFrame(pa.table(columns))


def raw_table(spark: SparkSession, table: Table, time: list[int | None] | None = None, **columns: Any) -> RawTable:
    """A raw table with its whole-second times."""
    some = next(iter(columns.values()))
    times = pa.array(time if time is not None else [None] * len(some), pa.int64())
    return RawTable(table, frame_of(spark, **columns, **{TIME: times}))


def shuffled(frame: DataFrame, parts: int) -> DataFrame:
    """The same rows, elsewhere and in another order."""
    return frame.orderBy(F.rand(parts)).repartition(parts)
