"""Rows that are older than the row they name: facts of what was not there yet."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from gnnscale.etl.checks.key_checks import link_keys, own_keys
from gnnscale.etl.sources.raw_tables import TIME, RawTable
from gnnscale.etl.spark.side_by_side import run_side_by_side
from gnnscale.schema import DataError, LinkManifest, Table

log = logging.getLogger(__name__)


def check_precedence(raw: Mapping[str, RawTable], links: Sequence[LinkManifest], most: float) -> list[LinkManifest]:
    """Count the rows of each link that are older than their parent; they are seen from the parent's time on.

    Args:
        raw: the tables.
        links: figures of theirs.
        most: most of the rows that match a parent which may be older than it.

    Returns:
        The figures with the count, None where rows or parents have no times of their own.

    Raises:
        DataError: more of them are.
    """
    counted = run_side_by_side([partial(_with_early, raw, link) for link in links])
    for link in counted:
        check_early_rate(link, raw[link.parent].table, most)
    return counted


def _with_early(raw: Mapping[str, RawTable], link: LinkManifest) -> LinkManifest:
    child, parent = raw[link.table], raw[link.parent]
    # What takes its time from a parent is as old as that.
    if not child.table.time_column or not parent.table.time_column:
        return link
    rows = child.frame.select(link_keys(raw, link.link).alias("key"), F.col(TIME).alias("time"))
    parents = parent.frame.select(own_keys(parent).alias("key"), F.col(TIME).alias("came"))
    return replace(link, early=count_early(rows, parents))


def check_early_rate(link: LinkManifest, parent: Table, most: float) -> None:
    """See that few rows of a link are older than their parent, and warn of them.

    Args:
        link: counted.
        parent: that the rows name.
        most: most of the rows that match a parent which may be older than it.

    Raises:
        DataError: more of them are; the message says which column the parent's time is, and how it can be another.
    """
    if not link.early:
        return
    time = parent.time_column
    if link.early > most * link.edges:
        raise DataError(
            f"link {link.link.name}: {link.early:,} of {link.edges:,} rows are older than the row of '{parent.name}' "
            f"that they name ({link.early / link.edges:.1%}; at most {most:.0%} may), so that they are not seen before "
            f"{parent.name}.{time}. If that does not say when a row came to be, set tables.{parent.name}.time_column "
            f"to another column or null (and tables.{parent.name}.end_time={time} if it says when one ended); "
            "graph.checks.max_early_rate sets the most"
        )
    log.warning(
        "%s: %s of %s rows are older than the row of %s that they name, and are seen from its %s on",
        *(link.link.name, f"{link.early:,}", f"{link.edges:,}", parent.name, time),
    )


def count_early(rows: DataFrame, parents: DataFrame) -> int:
    """Rows that are older than their parent.

    Args:
        rows: columns ``key`` and ``time``.
        parents: columns ``key`` and ``came``, each key once.
    """
    # Most parents have no older row: their first one tells, so that few rows are looked at again.
    first = rows.groupBy("key").agg(F.min("time").alias("time"))
    late = _before(first, parents).select("key", "came").cache()
    try:
        return 0 if late.isEmpty() else int(_before(rows, late).count())
    finally:
        late.unpersist()


def _before(rows: DataFrame, parents: DataFrame) -> DataFrame:
    return rows.join(parents, "key").where(F.col("time") < F.col("came"))
