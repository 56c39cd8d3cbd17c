"""Derived tables as raw rows: pairs of items bought together, and first rows of keys."""

from __future__ import annotations

import operator
from collections.abc import Mapping
from functools import reduce
from typing import Any

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from gnnscale.etl.derived.pair_rows import pair_rows
from gnnscale.etl.ids.key_columns import is_missing
from gnnscale.etl.sources.read_times import seconds_of
from gnnscale.schema import FirstRows, GraphSchema, PairRows, RowCondition, SchemaError, Table, nearest

COMPARE = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def derived_rows(table: Table, frames: Mapping[str, DataFrame], graph: GraphSchema) -> DataFrame:
    """The rows of a derived table, with the columns of its declaration.

    Args:
        table: derived.
        frames: raw rows of the tables that have a source.
        graph: of all tables.

    Returns:
        A function of the other table's rows alone: neither their order nor their partitions count.

    Raises:
        SchemaError: the other table, a column of it, or a column that the derived table declares, is not there.
        DataError: its times are none.
    """
    rows = table.derived
    assert rows is not None
    if rows.table not in frames:
        raise SchemaError(
            f"table '{table.name}': derived from '{rows.table}', which has no rows of its own."
            + nearest(rows.table, frames)
        )
    source, frame = graph.table(rows.table), frames[rows.table]
    for column in rows.read_columns:
        if column not in frame.columns:
            raise SchemaError(
                f"table '{table.name}': derived from '{rows.table}', which has no column '{column}'."
                + nearest(column, frame.columns)
            )
    time = seconds_of(frame, source, source.time_column) if source.time_column else F.lit(None).cast("long")
    if rows.conditions:
        frame = frame.where(reduce(operator.and_, (_holds(frame, condition) for condition in rows.conditions)))
    found = pair_rows(frame, rows, time) if isinstance(rows, PairRows) else _first_rows(frame, rows, time)
    table.check_columns(found.columns)
    return found


def _holds(frame: DataFrame, condition: RowCondition) -> Column:
    column: Any = frame[condition.column]
    if isinstance(condition.value, tuple):
        return column.isin(list(condition.value))
    held: Column = COMPARE[condition.operator](column, condition.value)
    return held


def _first_rows(frame: DataFrame, rows: FirstRows, time: Column) -> DataFrame:
    key = F.col(rows.key)
    named = frame.where(~is_missing(key, frame.schema[rows.key].dataType))
    # Structs compare by their first field: the earliest, and of equal times the least value.
    dated = {name: F.struct(time.alias("time"), F.col(name).alias("value")) for name in rows.values}
    first = [F.min(F.when(F.col(name).isNotNull(), value))["value"].alias(name) for name, value in dated.items()]
    return named.groupBy(key).agg(*first) if first else named.select(key).distinct()
