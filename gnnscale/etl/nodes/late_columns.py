"""Columns that tell what happened to a row afterwards, as far as its times give that away."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from typing import Final

from pyspark.sql import Column
from pyspark.sql import functions as F
from pyspark.sql import types as T

from gnnscale.etl.sources.raw_tables import RawTable
from gnnscale.schema import ColumnType

log = logging.getLogger(__name__)

LATER: Final = 0.5
"""Share of a column's times that are later than their rows beyond which it tells what happened to them afterwards."""


def late_columns(
    raw: RawTable,
    types: Mapping[str, ColumnType],
    counts: Mapping[str, int],
    later: Mapping[str, int],
    hidden: Collection[str],
) -> set[str]:
    """Columns that inputs would hold from the row's own time on, though they seem to be known later only.

    Those are times of which most are later than their rows, and columns that have a value exactly where such a time is,
    such as the rating of what was brought back. What is declared to be a feature is none. Each is warned of.

    Args:
        raw: the table.
        types: feature column -> type.
        counts: time column -> rows that have it.
        later: time column -> rows that are earlier than it.
        hidden: columns that the query at hand does not see, which need no warning.
    """
    table = raw.table
    open_to = [name for name in types if name not in table.columns]
    times = [name for name, kind in types.items() if kind is ColumnType.TIMESTAMP]
    late = [name for name in times if counts[name] and later[name] > LATER * counts[name]]
    beside = {name: _there_where(raw, name, open_to) for name in late}
    found: set[str] = set()
    for name in late:
        own = [name] if name in open_to else []
        new = [column for column in (*own, *beside[name]) if column not in found]
        found |= set(new)
        _warn(table.name, name, [n for n in new if n not in hidden], later[name], counts[name])
    return found


def _there_where(raw: RawTable, time: str, columns: Collection[str]) -> list[str]:
    """Columns that have a value in exactly the rows that have a time."""
    others = [name for name in columns if name != time]
    if not others:
        return []
    differs = [
        F.count(F.when(_is_there(raw, name) != F.col(time).isNotNull(), True)).alias(f"c{place}")
        for place, name in enumerate(others)
    ]
    missing = F.count(F.when(F.col(time).isNull(), True)).alias("missing")
    row = raw.frame.agg(missing, *differs).first()
    assert row is not None
    if not row["missing"]:
        # Every row has everything.
        return []
    return [name for place, name in enumerate(others) if not row[f"c{place}"]]


def _is_there(raw: RawTable, name: str) -> Column:
    number = isinstance(raw.frame.schema[name].dataType, T.FloatType | T.DoubleType)
    return F.col(name).isNotNull() & ~F.isnan(name) if number else F.col(name).isNotNull()


def _warn(table: str, time: str, columns: Collection[str], later: int, known: int) -> None:
    if not columns:
        return
    others = [name for name in columns if name != time]
    beside = (
        f", and {', '.join(others)} {'is' if len(others) == 1 else 'are'} there exactly where it is" if others else ""
    )
    first = next(iter(columns))
    hides = (
        f"; query.known_after={time}, where it says when a row's answer is known, hides it too" if first == time else ""
    )
    log.warning(
        "%s.%s is later than the row in %s of %s rows that have it%s: inputs hold %s from the row's own time on. What "
        "is not known by then must be none: tables.%s.columns.%s=ignore (a type says that it is known), and --force "
        "where there is a graph%s",
        *(table, time, f"{later:,}", f"{known:,}", beside, "it" if len(columns) == 1 else "them", table, first, hides),
    )
