"""Figures of a graph from its nodes in the lake, for builds that don't read all raw rows again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from gnnscale.etl.checks.checks import count_repeats
from gnnscale.etl.checks.degrees import DegreeHistogram
from gnnscale.etl.checks.isolated import least_untouched
from gnnscale.etl.ids.assign_ids import NODE_ID
from gnnscale.etl.labels.condition_columns import RAW
from gnnscale.schema import NESTED, LinkManifest, TableManifest


def count_link(nodes: DataFrame, link: LinkManifest, rows: int, parents: int, nulls: int) -> LinkManifest:
    """Figures of a link, from one pass over the column of ``nodes_<table>`` that holds its ends.

    Args:
        nodes: of the table that holds the key.
        link: its figures before; the versions stay.
        rows: of the table.
        parents: rows of the parent.
        nulls: rows without a key.
    """
    end = F.col(f"fk_{link.column}")
    degrees = nodes.where(end.isNotNull()).groupBy(end.alias("end")).count()
    counted = degrees.groupBy(F.col("count").alias("degree")).agg(F.count(F.lit(1)).alias("keys")).collect()
    found = DegreeHistogram.of([{"end": "matched", "example": None, **row.asDict()} for row in counted], parents)
    edges = found.rows["matched"]
    return replace(
        link,
        edges=edges,
        nulls=nulls,
        dangling=rows - edges - nulls,
        parents=parents,
        parents_matched=found.matched,
        max_degree=found.largest,
        degree_quantiles=found.quantiles(),
    )


def count_duplicates(nodes: DataFrame, table: TableManifest, rows: int) -> int:
    """Rows of a table without a key that repeat an earlier one, counted as the checks of raw rows do.

    All values as ``nodes_<table>`` keeps them are read; of columns that it keeps only as features (lists, vectors),
    the features.
    """
    times = [name for name in ("time", "end_time") if name in nodes.columns]
    values = [name for name in nodes.columns if name.startswith(RAW)]
    encoded = [f.encoded for f in table.features if table.kinds.get(f.column) in NESTED]
    columns = [F.col(f"`{name}`") for name in (*times, *values, *encoded)]
    # xxhash64 passes over nulls, so which columns are null is hashed beside.
    return count_repeats(nodes, F.xxhash64(*columns, *(column.isNull() for column in columns)), rows)


def count_isolated_nodes(nodes: Mapping[str, DataFrame], table: str, links: Sequence[LinkManifest]) -> int:
    """Rows of a table with a primary key that no link joins with another.

    Where the figures of the links leave it open, the columns of all nodes that hold the table's links are read.
    """
    own = [link for link in links if link.table == table]
    pointing = [link for link in links if link.parent == table]
    known = least_untouched(own, pointing)
    if known is not None:
        return known
    rows = nodes[table].select(NODE_ID, *(f"fk_{link.column}" for link in own))
    for link in own:
        rows = rows.where(F.col(f"fk_{link.column}").isNull())
    for link in pointing:
        rows = rows.join(nodes[link.table].select(F.col(f"fk_{link.column}").alias(NODE_ID)), NODE_ID, "left_anti")
    return rows.count()
