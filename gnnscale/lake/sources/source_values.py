"""What the columns of a source are, how many rows it has, and these in memory."""

from __future__ import annotations

import pyarrow as pa

from gnnscale.lake.sources.source import Source
from gnnscale.lake.sources.source_rows import open_rows
from gnnscale.schema import ValueKind


def column_kinds(source: Source, storage_options: dict[str, str] | None = None) -> dict[str, ValueKind]:
    """Columns of a source and what their values are, those among them that folders tell; see :func:`open_rows`."""
    return arrow_kinds(open_rows(source, storage_options).schema)


def read_schema(source: Source, storage_options: dict[str, str] | None = None) -> pa.Schema:
    """Columns of a source and their types, as the graph takes them; dictionaries of categories stay what they are.

    Raises:
        LakeError: a file is not what its name says.
    """
    rows = open_rows(source, storage_options)
    return pa.schema(
        [
            (column.name, pa.dictionary(pa.int32(), column.type) if column.name in rows.categories else column.type)
            for column in rows.schema
        ]
    )


def read_rows(source: Source, storage_options: dict[str, str] | None = None) -> pa.Table:
    """All rows of a source, in memory.

    Raises:
        LakeError: they are not what the source's name says.
    """
    return open_rows(source, storage_options).table()


def count_rows(source: Source, storage_options: dict[str, str] | None = None) -> int | None:
    """Rows of a source; None where that is not known."""
    return open_rows(source, storage_options).rows


def arrow_kinds(schema: pa.Schema) -> dict[str, ValueKind]:
    """Columns and what their values are."""
    return {field.name: _kind(field.type) for field in schema}


def _kind(physical: pa.DataType) -> ValueKind:
    if pa.types.is_dictionary(physical):
        physical = physical.value_type
    if pa.types.is_string(physical) or pa.types.is_large_string(physical) or pa.types.is_string_view(physical):
        return ValueKind.TEXT
    if pa.types.is_boolean(physical):
        return ValueKind.BOOLEAN
    if pa.types.is_timestamp(physical) or pa.types.is_date(physical):
        return ValueKind.TIME
    if pa.types.is_list(physical) or pa.types.is_large_list(physical) or pa.types.is_fixed_size_list(physical):
        if pa.types.is_floating(physical.value_type):
            return ValueKind.VECTOR
        return ValueKind.TEXTS if _kind(physical.value_type) is ValueKind.TEXT else ValueKind.OTHER
    numeric = pa.types.is_integer(physical) or pa.types.is_floating(physical) or pa.types.is_decimal(physical)
    return ValueKind.NUMBER if numeric else ValueKind.OTHER
