"""Keys of raw rows in the form that they are compared by, and what can't be one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from pyspark.sql import Column
from pyspark.sql import functions as F
from pyspark.sql import types as T

from gnnscale.arrays import EXACT
from gnnscale.etl.ids.key_columns import is_inexact, is_missing, key_form, key_type
from gnnscale.etl.sources.raw_tables import RawTable
from gnnscale.schema import DataError, Link


def own_keys(table: RawTable) -> Column:
    """The primary key of a table's rows, as keys are compared."""
    key = table.table.primary_key or ""
    physical = table.frame.schema[key].dataType
    return key_form(F.col(key), physical, physical)


def link_keys(raw: Mapping[str, RawTable], link: Link) -> Column:
    """The foreign key of a link's rows, as keys of the parent are compared; null where no parent could have it."""
    parent = raw[link.parent]
    key = parent.frame.schema[parent.table.primary_key or ""].dataType
    return key_form(F.col(link.column), raw[link.table].frame.schema[link.column].dataType, key)


def strange_keys(raw: Mapping[str, RawTable], link: Link) -> Column:
    """As text, the values of a link's rows that no parent's key can be; null for all others."""
    parent = raw[link.parent]
    key = parent.frame.schema[parent.table.primary_key or ""].dataType
    physical = raw[link.table].frame.schema[link.column].dataType
    if physical == key_type(key) or (isinstance(physical, T.IntegralType) and isinstance(key, T.IntegralType)):
        return F.lit(None).cast("string")
    value = F.col(link.column)
    return F.when(link_keys(raw, link).isNull() & ~is_missing(value, physical), value.cast("string"))


def shown_key(key: object) -> str:
    """A key of a Spark row in messages: octets as hexadecimal digits."""
    return key.hex() if isinstance(key, bytes | bytearray) else repr(key)


def check_keys(raw: Mapping[str, RawTable], links: Iterable[Link]) -> None:
    """See that keys in floating-point columns are exact, and primary keys among them whole.

    From 2^53 on (float32: 2^24) neighboring whole numbers are one floating-point number, so that a key might be
    another's. Only tables with such columns are read.

    Args:
        raw: the tables.
        links: theirs.

    Raises:
        DataError: a column holds what is no key; the message shows one.
    """
    columns = [(name, table.table.primary_key or "", True) for name, table in raw.items() if table.table.primary_key]
    columns += [(link.table, link.column, False) for link in links]
    for table, column, primary in dict.fromkeys(columns):
        frame = raw[table].frame
        physical = frame.schema[column].dataType
        faulty = is_inexact(F.col(column), physical)
        if faulty is None:
            continue
        if primary:
            faulty = ~is_missing(F.col(column), physical) & key_form(F.col(column), physical, physical).isNull()
        found = frame.agg(F.count(F.when(faulty, True)), F.min(F.when(faulty, F.col(column)))).first()
        assert found is not None
        if found[0]:
            most = EXACT[32 if isinstance(physical, T.FloatType) else 64]
            raise DataError(
                f"{'primary' if primary else 'foreign'} key {table}.{column}: {found[0]:,} values are no exact keys, "
                f"such as {found[1]!r}; a column of {physical.simpleString()} holds whole numbers below {most:,} "
                "exactly: store it as bigint or text"
            )
