"""Rows that are older than the row they name: facts of what was not there yet."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from gnnscale.etl.sources.raw_tables import TIME, RawTable
from gnnscale.schema import DataError, LinkManifest

log = logging.getLogger(__name__)


def check_precedence(raw: Mapping[str, RawTable], link: LinkManifest, most: float) -> LinkManifest:
    """Count the rows of a link that are older than their parent; they are seen from the parent's time on.

    Args:
        raw: the tables.
        link: figures of one of theirs.
        most: most of the rows that match a parent which may be older than it.

    Returns:
        The figures with the count, None where rows or parents have no times of their own.

    Raises:
        DataError: more of them are; the message says which column the parent's time is, and how it can be another.
    """
    child, parent = raw[link.table].table, raw[link.parent].table
    # What takes its time from a parent is as old as that.
    if not child.time_column or not parent.time_column:
        return link
    early = _count(raw, link)
    column = f"{parent.name}.{parent.time_column}"
    if early > most * link.edges:
        raise DataError(
            f"link {link.link.name}: {early:,} of {link.edges:,} rows are older than the row of '{parent.name}' that "
            f"they name ({early / link.edges:.1%}; at most {most:.0%} may), so that they are not seen before {column}. "
            f"If that does not say when a row came to be, set tables.{parent.name}.time_column to another column or "
            f"null (tables.{parent.name}.end_time={parent.time_column} if it says when one ended); "
            "graph.checks.max_early_rate sets the most"
        )
    if early:
        log.warning(
            "%s: %s of %s rows are older than the row of %s that they name, and are seen from its %s on",
            *(link.link.name, f"{early:,}", f"{link.edges:,}", parent.name, parent.time_column),
        )
    return replace(link, early=early)


def _count(raw: Mapping[str, RawTable], link: LinkManifest) -> int:
    """Rows that are older than their parent."""
    key = raw[link.parent].table.primary_key or ""
    rows = raw[link.table].frame.select(F.col(link.column).alias("key"), F.col(TIME).alias("time"))
    parents = raw[link.parent].frame.select(F.col(key).alias("key"), F.col(TIME).alias("came"))
    # Most parents have no older row: their first one tells, so that few rows are looked at again.
    first = rows.groupBy("key").agg(F.min("time").alias("first"))
    late = _before(first, parents, "first").select("key", "came").cache()
    try:
        if late.isEmpty():
            return 0
        return int(_before(rows, late, "time").count())
    finally:
        late.unpersist()


def _before(rows: DataFrame, parents: DataFrame, time: str) -> DataFrame:
    return rows.join(parents, "key").where(F.col(time) < F.col("came"))
