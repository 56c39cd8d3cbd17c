"""Frames of several libraries as Arrow tables whose columns Spark reads from Parquet."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from gnnscale.lake import plain_array, plain_type
from gnnscale.schema import GnnscaleError, SchemaError

if TYPE_CHECKING:
    import pandas as pd


def pandas_table(name: str, frame: pd.DataFrame) -> pa.Table:
    """The columns of a pandas frame, those of an index that has names among them.

    Raises:
        SchemaError: a column holds what Arrow has no type for, or a level of the index is called like a column.
    """
    # Where the index has names, it holds columns; else it counts rows.
    if any(level is not None for level in frame.index.names):
        with told_of(name):
            frame = frame.reset_index()
    names, columns = [str(column) for column in frame.columns], []
    for place, column in enumerate(names):
        with told_of(name, column):
            one = _intervals_as_text(frame.iloc[:, [place]])
            columns.append(pa.Table.from_pandas(one, preserve_index=False).column(0))
    return pa.table(columns, names)


def arrow_table(name: str, given: Any) -> pa.Table:
    """The columns of anything that Arrow can read as a table.

    Raises:
        SchemaError: it is none, or a column is of a type that Arrow does not have.
    """
    try:
        return pa.table(given)
    except (ValueError, TypeError, OverflowError, pa.ArrowException):
        for column in getattr(given, "columns", ()):
            with told_of(name, str(column)):
                pa.table(given[[column]])
        with told_of(name):
            return pa.table(given)


def plain_table(name: str, table: pa.Table) -> pa.Table:
    """The columns in types that Spark reads from Parquet.

    Args:
        name: of the table, for messages.
        table: any; dictionaries are decoded, also in lists and structs.

    Raises:
        SchemaError: a column is of a type that has no such form.
    """
    columns = []
    for place, column in enumerate(map(str, table.column_names)):
        with told_of(name, column):
            found = table.column(place)
            kind = plain_type(found.type)
            columns.append(pa.chunked_array([plain_array(chunk) for chunk in found.chunks], kind))
    # What pandas and polars keep beside their columns tells of nothing here, and differs where the rows are the same.
    fields = [pa.field(str(n), column.type) for n, column in zip(table.column_names, columns, strict=True)]
    return pa.table(columns, pa.schema(fields)).combine_chunks()


def dictionary_columns(schema: pa.Schema) -> frozenset[str]:
    """Columns of a type that keeps each value once: categories of pandas and polars, dictionaries of Arrow."""
    return frozenset(field.name for field in schema if pa.types.is_dictionary(field.type))


@contextmanager
def told_of(table: str, column: str | None = None) -> Iterator[None]:
    """Faults of a conversion, as errors that name the table and the column."""
    try:
        yield
    except (ValueError, TypeError, OverflowError, pa.ArrowException) as error:
        place = f"table '{table}'" + (f": column '{column}'" if column is not None else "")
        if isinstance(error, GnnscaleError):
            raise SchemaError(f"{place} {error}") from None
        raise SchemaError(f"{place}: {', '.join(map(str, error.args)) or type(error).__name__}") from None


def _intervals_as_text(column: pd.DataFrame) -> pd.DataFrame:
    """A column of intervals, as ``pandas.cut`` makes them, by their names."""
    import pandas as pd

    kind = column.dtypes.iloc[0]
    values = kind.categories.dtype if isinstance(kind, pd.CategoricalDtype) else kind
    if not isinstance(values, pd.IntervalDtype):
        return column
    found = column.iloc[:, 0]
    return found.astype(object).map(str, na_action="ignore").astype("category").to_frame()
