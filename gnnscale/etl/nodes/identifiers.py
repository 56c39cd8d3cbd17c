"""Columns of numbers that only name rows: no quantity, and nothing that a model should see."""

from __future__ import annotations

import logging
import re
from typing import Final

from pyspark.sql import functions as F
from pyspark.sql import types as T

from gnnscale.etl.sources.raw_tables import RawTable
from gnnscale.schema import ColumnType

log = logging.getLogger(__name__)

NAMED: Final = re.compile(
    r"(^|_)(?i:id|key|uuid|guid|no|nr|num|number|code|index|_c0)$|[a-z0-9](Id|ID|Key|No|Nr|Number|Code)$"
)
"""Names of columns that may name rows."""

UNIQUE: Final = 0.9
"""Share of the values that differ, from which on a column names rows."""

LEAST_ROWS: Final = 20
"""Rows below which values that differ tell nothing."""


def without_identifiers(raw: RawTable, types: dict[str, ColumnType]) -> dict[str, ColumnType]:
    """Features without the whole numbers that are called like ids, are hardly ever repeated, and are not declared.

    Args:
        raw: the table.
        types: column -> type, of the features.
    """
    named = [
        column
        for column, kind in types.items()
        if kind in (ColumnType.NUMERICAL, ColumnType.CATEGORICAL)
        and column not in raw.table.columns
        and isinstance(raw.frame.schema[column].dataType, T.IntegralType)
        and NAMED.search(column)
    ]
    if not named:
        return types
    counts = [F.count(F.col(column)).alias(f"{column}|count") for column in named]
    distinct = [F.approx_count_distinct(F.col(column), 0.02).alias(f"{column}|distinct") for column in named]
    row = raw.frame.agg(*counts, *distinct).first()
    assert row is not None
    left_out = [
        column
        for column in named
        if row[f"{column}|count"] >= LEAST_ROWS and row[f"{column}|distinct"] >= UNIQUE * row[f"{column}|count"]
    ]
    if left_out:
        log.info(
            "%s: columns that name rows are no features: %s; tables.%s.columns.%s=numerical makes one a feature",
            *(raw.table.name, ", ".join(left_out), raw.table.name, left_out[0]),
        )
    return {column: kind for column, kind in types.items() if column not in left_out}
