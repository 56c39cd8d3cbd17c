"""How many of those who are asked about make no example, because what came true is not known."""

from __future__ import annotations

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from gnnscale.query import LeftOut, PredictiveQuery


def count_left_out(asked: DataFrame, query: PredictiveQuery) -> LeftOut:
    """Count whose target is missing, and who has no time to be asked at.

    Aggregates that over nothing are missing tell of no gap in the data, and are not counted.

    Args:
        asked: from :func:`gnnscale.etl.labels.labelled_examples.asked_frame`.
        query: bound query.
    """
    columns = tuple(str(column) for column in query.target_columns)
    if not columns and not query.asks_at_own_time:
        return LeftOut()
    answer = F.col(asked.columns[3])
    unknown = F.lit(False) if not columns else answer.isNull()
    undated = F.col("anchor_time").isNull() & answer.isNotNull()
    counts = asked.agg(
        F.count(F.lit(1)).alias("asked"),
        F.count(F.when(unknown, True)).alias("unknown"),
        F.count(F.when(undated, True)).alias("undated"),
    ).first()
    assert counts is not None
    return LeftOut(columns, counts["asked"], counts["unknown"], counts["undated"])
