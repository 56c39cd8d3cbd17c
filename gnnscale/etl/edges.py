"""Edges of a link in both directions, sorted by (source, time)."""

from __future__ import annotations

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from gnnscale.etl.ids import NODE_ID


def link_edges(children: DataFrame, column: str, parents: DataFrame | None) -> DataFrame:
    """One edge for each row whose foreign key matches.

    Args:
        children: ``nodes_<table>`` of the rows that hold the key.
        column: the foreign key.
        parents: ``nodes_<parent>`` where parents have times, else None.

    Returns:
        Columns ``child``, ``parent`` (node ids, int64) and ``time`` (epoch seconds, the later end's; null where
        neither end has one).
    """
    edges = children.select(F.col(NODE_ID).alias("child"), F.col(f"fk_{column}").alias("parent"), F.col("time")).where(
        F.col("parent").isNotNull()
    )
    if parents is None:
        return edges
    times = parents.select(F.col(NODE_ID).alias("parent"), F.col("time").alias("parent_time"))
    # greatest() passes over nulls.
    return edges.join(times, "parent").select("child", "parent", F.greatest("time", "parent_time").alias("time"))


def sorted_edges(edges: DataFrame, reverse: bool) -> DataFrame:
    """One direction as columns ``source``, ``target``, ``time``, in order over all partitions.

    Args:
        edges: columns ``child``, ``parent``, ``time``, and ``weight`` where edges have one, which is kept.
        reverse: False for child to parent, True for parent to child.
    """
    source, target = ("parent", "child") if reverse else ("child", "parent")
    weight = [column for column in edges.columns if column == "weight"]
    directed = edges.select(F.col(source).alias("source"), F.col(target).alias("target"), "time", *weight)
    ranged = directed.repartitionByRange("source")
    return ranged.sortWithinPartitions("source", F.asc_nulls_first("time"), "target", *weight)
