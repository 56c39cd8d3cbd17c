"""Columns that tell what happened to a row afterwards, as far as its times give that away."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
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
    such as the rating of what was brought back. What is declared to be a feature is none, and neither is what comes
    with it. Each is warned of.

    Args:
        raw: the table.
        types: feature column -> type.
        counts: time column -> rows that have it.
        later: time column -> rows that are earlier than it.
        hidden: columns that the query at hand does not see, which need no warning.
    """
    table = raw.table
    # What is declared to be a feature is known in time, and so is what comes with it.
    open_to = [name for name in types if name not in table.columns]
    times = [name for name in open_to if types[name] is ColumnType.TIMESTAMP]
    late = [name for name in times if counts[name] and later[name] > LATER * counts[name]]
    beside = _there_where(raw, late, open_to) if late else {}
    found: set[str] = set()
    for name in late:
        new = [column for column in (name, *beside[name]) if column not in found]
        found |= set(new)
        _warn(table.name, name, [column for column in new if column not in hidden], later[name], counts[name])
    return found


def _there_where(raw: RawTable, times: Sequence[str], columns: Sequence[str]) -> dict[str, list[str]]:
    """Time -> columns that have a value in exactly the rows that have it; none where every row has."""
    places = [(time, name) for time in times for name in columns if name != time]
    counts = [F.count(F.when(~_is_there(raw, time), True)).alias(f"t{place}") for place, time in enumerate(times)]
    counts += [
        F.count(F.when(_is_there(raw, name) != _is_there(raw, time), True)).alias(f"c{place}")
        for place, (time, name) in enumerate(places)
    ]
    row = raw.frame.agg(*counts).first()
    assert row is not None
    missing = {time: row[f"t{place}"] for place, time in enumerate(times)}
    same = [pair for place, pair in enumerate(places) if not row[f"c{place}"]]
    return {time: [name for own, name in same if own == time and missing[time]] for time in times}


def _is_there(raw: RawTable, name: str) -> Column:
    number = isinstance(raw.frame.schema[name].dataType, T.FloatType | T.DoubleType)
    return F.col(name).isNotNull() & ~F.isnan(name) if number else F.col(name).isNotNull()


def _warn(table: str, time: str, columns: Sequence[str], later: int, known: int) -> None:
    if not columns:
        return
    text = f"{table}.{time} is later than the row in {later:,} of {known:,} rows that have it"
    if others := [name for name in columns if name != time]:
        text += f", and {', '.join(others)} {'is' if len(others) == 1 else 'are'} there exactly where it is"
    text += f": inputs hold {', '.join(columns)} from the row's own time on. What is not known by then must be none: "
    text += (
        f"tables.{table}.columns.{columns[0]}=ignore (a type says that it is known), and --force where there is a graph"
    )
    if columns[0] == time:
        text += f"; query.known_after={time}, where it says when a row's answer is known, hides it too"
    log.warning("%s", text)
