"""Times of raw rows, however they are written, in whole epoch seconds."""

from __future__ import annotations

import logging

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql import types as T

from gnnscale.schema import EPOCH_UNITS, DataError, SchemaError, Table, epoch_unit, fitting_formats, spark_pattern

log = logging.getLogger(__name__)

ISO = r"^\s*[0-9]{4}(-[0-9]{1,2}(-[0-9]{1,2}([ T].*)?)?)?\s*$"
"""Texts that begin with a date: Spark would take a time of a day for today's, and six digits for a year."""

SHOWN = 1_000
"""Faulty values that are counted, and looked at for a format that they fit."""


def seconds_of(frame: DataFrame, table: Table, name: str) -> Column:
    """The times of a column, rounded up: so whole-second anchors divide rows as the exact times would.

    Args:
        frame: the rows.
        table: whose ``time_format`` counts, where the column is text or numbers.
        name: of the column.

    Returns:
        Whole epoch seconds; null where there is no time.

    Raises:
        DataError: the column is of another type, or its numbers are epoch times of no one unit.
    """
    column, physical = F.col(name), frame.schema[name].dataType
    written = isinstance(physical, T.NumericType | T.StringType)
    if table.time_format and table.time_format not in EPOCH_UNITS and written:
        whole = column.try_cast("long") if isinstance(physical, T.NumericType) else column
        text = F.trim(whole.cast("string"))
        return _of_timestamp(F.try_to_timestamp(text, F.lit(spark_pattern(table.time_format))))
    if isinstance(physical, T.NumericType):
        unit = table.time_format or _found_unit(frame, table, name)
        return _of_number(column, physical, EPOCH_UNITS[unit])
    if isinstance(physical, T.StringType):
        if table.time_format:
            return _of_number(column.try_cast("decimal(38,9)"), T.DecimalType(38, 9), EPOCH_UNITS[table.time_format])
        column = F.when(column.rlike(ISO), F.try_to_timestamp(column))
    elif isinstance(physical, T.DateType | T.TimestampNTZType):
        column = column.cast("timestamp")
    elif not isinstance(physical, T.TimestampType):
        raise DataError(
            f"time column {table.name}.{name} is of type {physical.simpleString()}; "
            "allowed are timestamps, dates, text and numbers (epoch seconds)"
        )
    return _of_timestamp(column)


def refuse_faulty(faulty: DataFrame, table: Table, name: str) -> None:
    """See that there are no rows whose time is none.

    Args:
        faulty: such rows.
        table: theirs.
        name: of the column.

    Raises:
        DataError: there are; the message shows values, and the format that they seem to be in.
    """
    bad = faulty.select(F.col(name).cast("string")).limit(SHOWN).collect()
    if not bad:
        return
    texts = [row[0] for row in bad if row[0] is not None]
    shown = ", ".join(sorted({repr(row[0]) if row[0] is not None else "null" for row in bad})[:3])
    count = f"{len(bad):,}{' or more' if len(bad) == SHOWN else ''}"
    if table.time_format:
        allowed = f"time_format is {table.time_format!r}"
    else:
        allowed = "allowed are timestamps, dates, ISO 8601 text and epoch seconds"
        if fitting := fitting_formats(texts):
            said = " or ".join(f"tables.{table.name}.time_format='{form}'" for form in fitting[:2])
            allowed += f"; these look like {said}"
    raise DataError(f"time column {table.name}.{name}: {count} values are not times, such as {shown}; {allowed}")


def _of_timestamp(column: Column) -> Column:
    return F.ceil(F.unix_micros(column) / F.lit(1_000_000)).cast("long")


def _of_number(column: Column, physical: T.DataType, parts: int) -> Column:
    if isinstance(physical, T.IntegralType):
        # As doubles, nanoseconds of today would lose their last digits.
        whole = F.call_function("div", column.cast("long"), F.lit(parts).cast("long"))
        return whole + F.when(column.cast("long") > whole * F.lit(parts), F.lit(1)).otherwise(F.lit(0))
    value = column.cast("double")
    endless = F.isnan(value) | (F.abs(value) == float("inf"))
    scaled = column if parts == 1 else column / F.lit(parts)
    return F.when(endless, F.lit(None)).otherwise(F.ceil(scaled)).cast("long")


def _found_unit(frame: DataFrame, table: Table, name: str) -> str:
    value = F.col(name).cast("double")
    known = F.when(~F.isnan(value) & (F.abs(value) != float("inf")), value)
    row = frame.agg(F.min(known), F.max(known)).first()
    assert row is not None
    if row[0] is None:
        return "seconds"
    try:
        unit = epoch_unit(row[0], row[1])
    except SchemaError as error:
        raise DataError(f"time column {table.name}.{name}: its numbers {error} under tables.{table.name}") from None
    if unit != "seconds":
        log.info("time column %s.%s is taken for epoch %s", table.name, name, unit)
    return unit
