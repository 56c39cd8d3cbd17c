"""What must hold of the raw rows before anything is written."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql import types as T

from gnnscale.config import graph_origin
from gnnscale.etl.checks.degrees import DegreeHistogram, key_end
from gnnscale.etl.checks.key_checks import link_keys, own_keys, shown_key, strange_keys
from gnnscale.etl.sources.raw_tables import END, TIME, RawTable
from gnnscale.etl.spark.side_by_side import run_side_by_side
from gnnscale.query import AnchorPlan, Split, show_time
from gnnscale.schema import DataError, Link, LinkManifest, Table

log = logging.getLogger(__name__)

COMPARED = 2_000_000
"""Rows of one table that are compared for duplicates, about; of a larger one, a part is taken by their hash."""


@dataclass(frozen=True)
class TableFigures:
    """What one pass over a table tells.

    Args:
        rows: their number.
        time_range: first and last time, in epoch seconds.
        duplicates: rows that repeat an earlier one in every column, found by a hash of 64 bits; of a table of twice
            ``COMPARED`` rows or more estimated from a part.
        out_of_range: rows whose time is outside the range that was asked for; None where none was.
    """

    rows: int
    time_range: tuple[int, int] | None
    duplicates: int = 0
    out_of_range: int | None = None


def check_tables(raw: Mapping[str, RawTable], time_range: tuple[int, int] | None = None) -> dict[str, TableFigures]:
    """Count rows and see that every primary key is there and unique.

    Args:
        raw: the tables.
        time_range: first and last time that a row should have, in epoch seconds.

    Raises:
        DataError: a table without rows, or keys that are missing or duplicate; the message shows some.
    """
    counted = run_side_by_side([partial(_count_table, table, time_range) for table in raw.values()])
    figures = {}
    for (name, table), row in zip(raw.items(), counted, strict=True):
        key = table.table.primary_key
        if row["rows"] == 0:
            raise DataError(f"table '{name}' has no rows; leave it out, or give it some")
        if key and row["keyed"] < row["rows"]:
            raise DataError(f"primary key {name}.{key} is null in {row['rows'] - row['keyed']:,} rows")
        if key and row["distinct"] < row["rows"]:
            raise DataError(_duplicates(table, key))
        if row.get("endless"):
            _tell_infinities(table, _sizes(table.frame))
        if table.table.end_time:
            _check_ends(table.table, row["early"], row["ended"])
        span = (row["first"], row["last"]) if row["first"] is not None else None
        figures[name] = TableFigures(row["rows"], span, row["duplicates"], row.get("outside"))
    _check_range(raw, figures)
    return figures


def _count_table(table: RawTable, time_range: tuple[int, int] | None) -> dict[str, Any]:
    """What :func:`check_tables` tells, or judges, a table by."""
    key = table.table.primary_key
    aggregates = [F.count(F.lit(1)).alias("rows"), F.min(TIME).alias("first"), F.max(TIME).alias("last")]
    if key:
        own = own_keys(table)
        aggregates += [F.count(own).alias("keyed"), F.count_distinct(own).alias("distinct")]
    sizes = _sizes(table.frame)
    if sizes:
        endless = F.array_contains(F.array(*sizes.values()), float("inf"))
        aggregates.append(F.count(F.when(endless, True)).alias("endless"))
    if table.table.end_time:
        early = F.col(END) < F.col(TIME)
        aggregates += [F.count(F.when(early, True)).alias("early"), F.count(END).alias("ended")]
    if time_range:
        aggregates.append(F.count(F.when(~F.col(TIME).between(*time_range), True)).alias("outside"))
    found = table.frame.agg(*aggregates).first()
    assert found is not None
    row = found.asDict()
    # Rows with a primary key differ in it.
    row["duplicates"] = 0 if key or not row["rows"] else count_repeats(table.frame, _row_hash(table), row["rows"])
    return row


def _sizes(frame: DataFrame) -> dict[str, Column]:
    """Floating-point columns -> their absolute values."""
    floats = [f.name for f in frame.schema if isinstance(f.dataType, T.FloatType | T.DoubleType)]
    return {name: F.abs(F.col(name).cast("double")) for name in floats}


def _tell_infinities(table: RawTable, sizes: Mapping[str, Column]) -> None:
    row = table.frame.agg(*(F.count(F.when(size == float("inf"), True)) for size in sizes.values())).first()
    assert row is not None
    for column, count in zip(sizes, row, strict=True):
        if count:
            log.warning("%s.%s: %s infinities count as missing", table.table.name, column, f"{count:,}")


def _check_ends(table: Table, early: int, ended: int) -> None:
    """Tell of rows that end before they begin: they are never there."""
    if not early:
        return
    said = f"{table.name}.{table.end_time} is before {table.name}.{table.time_column or table.time_from}"
    if early == ended:
        raise DataError(
            f"{said} in all {ended:,} rows that have it: tables.{table.name}.end_time is when a row ends, and its "
            "time when it begins"
        )
    log.warning("%s in %s of %s rows, which are never there", said, f"{early:,}", f"{ended:,}")


def count_repeats(frame: DataFrame, row_hash: Column, rows: int, compared: int = COMPARED) -> int:
    """Rows of a frame that repeat an earlier one; estimated where there are twice ``compared`` or more.

    Args:
        frame: of ``rows`` rows.
        row_hash: of all that is compared.
        rows: their number.
        compared: rows whose hashes are compared, about.
    """
    # All rows are hashed, but to compare a billion hashes takes longer than to build the graph. Copies of a row have
    # one hash, so that those whose hash is a multiple of some number are all there or none.
    parts = max(1, rows // compared)
    hashes = frame.select(row_hash.alias("hash")).where(F.pmod("hash", F.lit(parts)) == 0)
    row = hashes.agg(F.count(F.lit(1)).alias("all"), F.count_distinct("hash").alias("distinct")).first()
    assert row is not None
    return min(rows - 1, parts * (row["all"] - row["distinct"]))


def _row_hash(table: RawTable) -> Column:
    columns = [F.col(f"`{name}`") for name in table.frame.columns]
    # xxhash64 passes over nulls, so which columns are null is hashed beside.
    return F.xxhash64(*columns, *(column.isNull() for column in columns))


def _check_range(raw: Mapping[str, RawTable], figures: Mapping[str, TableFigures]) -> None:
    """Say where times are more than 68 years apart; half of a table that is that much older than its last row has one
    that is no real time."""
    spans = {name: f.time_range for name, f in figures.items() if f.time_range}
    if not spans:
        return
    first = min(spans, key=lambda name: spans[name][0])
    last = max(spans, key=lambda name: spans[name][1])
    origin = graph_origin(spans)
    if origin == spans[first][0]:
        return
    reach = f"times reach from {show_time(spans[first][0])} in '{first}' to {show_time(spans[last][1])} in '{last}'"
    row = raw[last].frame.agg(F.percentile_approx(TIME, 0.5)).first()
    older = [name for name in spans if spans[name][1] < origin] + [last] * (row is not None and row[0] < origin)
    if older:
        raise DataError(
            f"{reach}, and those of '{older[0]}' lie more than 66 years before the last: one of them is no real time; "
            "mend it in the source, or make it null where it stands for no time"
        )
    log.warning("%s; what is from before %s counts as of then for the ages that a model sees", reach, show_time(origin))


def check_links(
    raw: Mapping[str, RawTable],
    links: Sequence[Link],
    parents: Mapping[str, int],
    min_match_rate: float,
    setting: str = "graph.min_match_rate",
) -> list[LinkManifest]:
    """Count which rows of each link find their parent, in one pass over both tables.

    Args:
        raw: the tables.
        links: theirs.
        parents: table -> rows.
        min_match_rate: least share of the rows with a key.
        setting: where that share is set, for the message.

    Raises:
        DataError: nothing matches, or less than ``min_match_rate`` of the rows that have a key.
    """
    counted = run_side_by_side([partial(_count_link, raw, link, parents[link.parent]) for link in links])
    for figures, example in counted:
        parent_key = raw[figures.parent].table.primary_key or ""
        check_match_rate(figures, parent_key, min_match_rate, setting, example)
    return [figures for figures, _ in counted]


def _count_link(raw: Mapping[str, RawTable], link: Link, parents: int) -> tuple[LinkManifest, object]:
    """Figures of a link, and a key that matches nothing, where there is one."""
    keys = raw[link.parent].frame.select(own_keys(raw[link.parent]).alias("key"), F.lit(True).alias("found"))
    # What no such key can be, as 1.40 among whole numbers, counts by itself.
    values = raw[link.table].frame.groupBy(link_keys(raw, link).alias("key"), strange_keys(raw, link).alias("strange"))
    missing = F.col("key").isNull() & F.col("strange").isNull()
    histogram = (
        values.count()
        .join(keys, "key", "left")
        .groupBy(key_end(missing, F.col("found")).alias("end"), F.col("count").alias("degree"))
        .agg(F.count(F.lit(1)).alias("keys"), F.min("key").alias("example"), F.min("strange").alias("strange"))
    )
    rows = [row.asDict() for row in histogram.collect()]
    found = DegreeHistogram.of(rows, parents)
    figures = LinkManifest(
        link.table,
        link.column,
        link.parent,
        edges=found.rows["matched"],
        nulls=found.rows["null"],
        dangling=found.rows["dangling"],
        parents=parents,
        parents_matched=found.matched,
        max_degree=found.largest,
        degree_quantiles=found.quantiles(),
    )
    return figures, min((row["strange"] for row in rows if row["strange"] is not None), default=found.example)


def check_match_rate(
    figures: LinkManifest, parent_key: str, min_match_rate: float, setting: str, example: object = None
) -> None:
    """See that enough keys of a link match, and warn of those that don't.

    Args:
        figures: of the link.
        parent_key: primary key of its parent.
        min_match_rate: least share of the rows with a key.
        setting: where that share is set, for the message.
        example: a key that matches nothing, where one is at hand.

    Raises:
        DataError: nothing matches, or less than ``min_match_rate``.
    """
    keyed = figures.edges + figures.dangling
    if figures.edges == 0 or figures.match_rate < min_match_rate:
        such = f", such as {shown_key(example)}" if example is not None else ""
        raise DataError(
            f"foreign key {figures.link.name} matches {figures.edges:,} of {keyed:,} keys in "
            f"{figures.parent}.{parent_key} ({figures.match_rate:.1%}; at least {min_match_rate:.0%} must){such}; "
            f"{setting} sets the least"
        )
    if figures.dangling:
        log.warning(
            "%s: %s of %s keys match no row of %s and make no edge",
            figures.link.name,
            f"{figures.dangling:,}",
            f"{keyed:,}",
            figures.parent,
        )


def check_windows(events: RawTable, plan: AnchorPlan) -> None:
    """See that each split has an event in one of its windows.

    Raises:
        DataError: a split has none; the message says between which times.
    """
    spans = {}
    for split in Split:
        bounds = [plan.horizon.span(anchor) for anchor in plan.of(split)]
        spans[split] = (min(start for start, _ in bounds), max(end for _, end in bounds))
    inside = {split: (F.col(TIME) > start) & (F.col(TIME) <= end) for split, (start, end) in spans.items()}
    row = events.frame.agg(*(F.count(F.when(where, True)).alias(split) for split, where in inside.items())).first()
    assert row is not None
    for split, (start, end) in spans.items():
        if row[split] == 0:
            raise DataError(
                f"no row of '{events.table.name}' is in a {split} window, which run from "
                f"{show_time(start)} to {show_time(end)}. Set anchors.test to another time"
            )


def _duplicates(table: RawTable, key: str) -> str:
    repeated = table.frame.groupBy(own_keys(table).alias("key")).count().where("count > 1")
    number = repeated.count()
    shown = ", ".join(shown_key(row["key"]) for row in repeated.orderBy("key").limit(3).collect())
    return f"primary key {table.table.name}.{key} is not unique: {number:,} values are repeated, such as {shown}"
