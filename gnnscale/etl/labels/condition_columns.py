"""Bound conditions as Spark columns, and rows with the columns that conditions speak of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from functools import reduce

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from gnnscale.etl.ids.assign_ids import NODE_ID
from gnnscale.etl.spark.write_tables import read_table
from gnnscale.lake import Lake
from gnnscale.query import bound
from gnnscale.schema import NESTED, GraphSchema, Link, ValueKind

RAW = "raw_"
"""Prefix of the columns of ``nodes_<table>`` that hold values as they came."""

DIGITS = 38
"""Most digits of a decimal."""

Values = Mapping[bound.Operand, Column]


def read_rows(
    session: SparkSession,
    lake: Lake,
    graph: GraphSchema,
    table: str,
    keep: Mapping[str, str],
    columns: Iterable[bound.Column],
) -> tuple[DataFrame, dict[bound.Operand, Column]]:
    """Rows of a table, with columns of their own and of the parents they name.

    Args:
        graph: of the tables.
        table: whose rows.
        keep: column of ``nodes_<table>`` -> name in the result.
        columns: bound columns that are wanted beside.

    Returns:
        The frame, and each bound column in it.
    """
    wanted = list(dict.fromkeys(columns))
    links = list(dict.fromkeys(c.via for c in wanted if c.via is not None))
    frame = read_table(session, lake, f"nodes_{table}")
    chosen = [F.col(name).alias(alias) for name, alias in keep.items()]
    chosen += [_raw(graph, c).alias(_alias(c)) for c in wanted if c.via is None]
    frame = frame.select(*chosen, *(F.col(f"fk_{link.column}").alias(_via(link)) for link in links))
    for link in links:
        beside = [_raw(graph, c).alias(_alias(c)) for c in wanted if c.via == link]
        parents = read_table(session, lake, f"nodes_{link.parent}").select(F.col(NODE_ID).alias(_via(link)), *beside)
        frame = frame.join(parents, _via(link), "left").drop(_via(link))
    return frame, {c: F.col(_alias(c)) for c in wanted}


def columns_of(expression: bound.Condition | bound.Operand | None) -> list[bound.Column]:
    """The columns that an expression compares, those inside aggregates left out."""
    return [o for o in bound.operands(expression) if isinstance(o, bound.Column)]


def condition_column(condition: bound.Condition, values: Values, unknown: bool = False) -> Column:
    """True or false: a comparison with a missing value is false, negated or not.

    Args:
        condition: bound.
        values: column of each operand.
        unknown: whether a comparison with a missing column of a row is null instead, and so is what hangs on it.
    """
    if isinstance(condition, bound.Not):
        return ~condition_column(condition.part, values, unknown)
    if isinstance(condition, bound.All | bound.Any):
        parts = [condition_column(part, values, unknown) for part in condition.parts]
        return reduce(lambda a, b: a & b if isinstance(condition, bound.All) else a | b, parts)
    value = values[condition.left]
    if condition.operator == "IS NULL":
        return value.isNotNull() if condition.negated else value.isNull()
    if condition.left.kind is ValueKind.TIME:
        value = F.unix_micros(value)
    compared = _compare(value, condition.operator, condition.values)
    compared = ~compared if condition.negated else compared
    return compared if unknown and isinstance(condition.left, bound.Column) else F.coalesce(compared, F.lit(False))


def _compare(value: Column, operator: str, constants: Sequence[bound.Value]) -> Column:
    exact = [_constant(constant) for constant in constants]
    if not any(isinstance(constant, float) for constant in constants):
        return _operate(value, operator, exact, constants)
    # Numbers of 32 bits are no decimal fractions of 64: what is written as .1 means the number nearest to it. The type
    # is known when the plan is made, and costs the rows nothing.
    narrow = [constant.cast("float") for constant in exact]
    compared = _operate(value, operator, narrow, constants), _operate(value, operator, exact, constants)
    return F.when(F.typeof(value) == "float", compared[0]).otherwise(compared[1])


def _constant(value: bound.Value) -> Column:
    """A constant by its exact value, so that comparing it rounds no whole number to its neighbor."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 10**DIGITS:
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool) and not -(2**63) <= value < 2**63:
        return F.lit(Decimal(value)).cast(f"decimal({DIGITS},0)")
    return F.lit(value)


def _operate(value: Column, operator: str, exact: Sequence[Column], constants: Sequence[bound.Value]) -> Column:
    first = exact[0]
    if operator == "IN":
        return value.isin(list(exact))
    if operator == "LIKE":
        # Only % is a wildcard; SQL's underscore is one too, unless it is escaped.
        pattern = str(constants[0]).replace("\\", "\\\\").replace("_", "\\_")
        return value.like(pattern)
    if operator == "CONTAINS":
        return value.contains(first)
    if operator == "STARTS WITH":
        return value.startswith(first)
    if operator == "ENDS WITH":
        return value.endswith(first)
    comparisons = {
        "=": value == first,
        "!=": value != first,
        "<": value < first,
        "<=": value <= first,
        ">": value > first,
        ">=": value >= first,
    }
    return comparisons[operator]


def _raw(graph: GraphSchema, column: bound.Column) -> Column:
    if column.name == graph.table(column.table).primary_key:
        return F.col("key")
    if column.kind in NESTED:
        return F.col(f"multi_{column.name}")
    return F.col(f"{RAW}{column.name}")


def _alias(column: bound.Column) -> str:
    return f"{column.via.column if column.via else ''}|{column.name}"


def _via(link: Link) -> str:
    return f"via|{link.column}"
