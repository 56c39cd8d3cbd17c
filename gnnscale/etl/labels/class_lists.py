"""Values of multicategorical columns as the lists of classes that they are."""

from __future__ import annotations

from pyspark.sql import Column
from pyspark.sql import functions as F
from pyspark.sql import types as T

from gnnscale.etl.nodes.list_columns import list_values
from gnnscale.query import bound
from gnnscale.schema import NESTED, SEPARATOR, ColumnType, GraphManifest, GraphSchema


def is_listed(column: bound.Column) -> bool:
    """Whether a row has several values of the column."""
    return column.meaning is ColumnType.MULTICATEGORICAL


def class_list(graph: GraphSchema, manifest: GraphManifest, column: bound.Operand, value: Column) -> Column:
    """The distinct values of a multicategorical column, sorted, as array<string>; null where a row has none.

    Args:
        graph: says what separates values in text.
        manifest: of the graph; names the values that arrays were encoded by.
        column: other columns than multicategorical ones stay as they are.
        value: as :func:`~gnnscale.etl.labels.condition_columns.read_rows` gave it.
    """
    if not isinstance(column, bound.Column) or not is_listed(column):
        return value
    if column.kind in NESTED:
        features = manifest.table(column.table).multicategorical
        names = F.array(*(F.lit(c) for f in features if f.column == column.name for c in f.categories))
        values = F.transform(value, lambda code: F.element_at(names.cast("array<string>"), code))
    else:
        separator = graph.table(column.table).separators.get(column.name, SEPARATOR)
        values = list_values(value, T.StringType(), separator)
    return F.when(F.size(values) > 0, F.array_sort(values))
