"""Relations of the configuration to edge tables in the lake."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

from pyspark import StorageLevel
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from gnnscale.etl.edges.edge_readers import scan_frame
from gnnscale.etl.edges.edge_sort import SortedEdges, write_sorted_edges
from gnnscale.etl.ids.assign_ids import NODE_ID
from gnnscale.etl.relations.co_occurrence import count_cut_groups, together_edges
from gnnscale.etl.relations.shared_attributes import attribute_edges, count_large_values
from gnnscale.etl.relations.weighted_events import count_unweighted, event_edges
from gnnscale.etl.spark.write_tables import read_table
from gnnscale.lake import Lake
from gnnscale.schema import (
    AttributeRelation,
    EdgeType,
    EventRelation,
    GraphSchema,
    Link,
    Relation,
    RelationManifest,
    TogetherRelation,
    relation_links,
    value_column,
)

log = logging.getLogger(__name__)

KINDS: Mapping[type[Relation], str] = {
    EventRelation: "events",
    TogetherRelation: "together",
    AttributeRelation: "attribute",
}
"""What the configuration calls each kind."""


def write_relations(
    session: SparkSession, lake: Lake, graph: GraphSchema, relations: Sequence[Relation], timed: set[str], origin: int
) -> tuple[RelationManifest, ...]:
    """Derive and write both directions of every relation.

    Args:
        session: Spark.
        lake: holds ``nodes_<table>`` of every table.
        graph: tables and links.
        relations: that fit the graph.
        timed: tables whose nodes have times.
        origin: of the graph, in epoch seconds.
    """
    written = []
    for relation, link in zip(relations, relation_links(relations, graph), strict=True):
        nodes = {name: read_table(session, lake, f"nodes_{name}") for name in {relation.table, link.table, link.parent}}
        times = {name: frame for name, frame in nodes.items() if name in timed}
        edges = from_later_end(
            relation_edges(nodes[relation.table], relation, graph, origin),
            times.get(link.table),
            times.get(link.parent),
        )
        forward, backward, weight = _write_directions(lake, link, edges, origin)
        count = forward.edges
        if not count:
            log.warning("relation %s has no edges", link.name)
        log.info("edges %s -> %s: %s", link.name, link.parent, f"{count:,}")
        written.append(
            RelationManifest(
                link.table,
                link.column,
                link.parent,
                edges=count,
                max_degree=forward.max_degree,
                version=forward.version,
                reverse_version=backward.version,
                max_weight=weight,
                kind=KINDS[type(relation)],
                table=relation.table,
                columns=relation.columns,
                cut=_count_cut(nodes[relation.table], relation, graph),
                unweighted=count_unweighted(nodes[relation.table], relation)
                if isinstance(relation, EventRelation)
                else 0,
            )
        )
    return tuple(written)


def relation_edges(nodes: DataFrame, relation: Relation, graph: GraphSchema, origin: int) -> DataFrame:
    """The edges of a relation, as its rows tell them.

    Args:
        nodes: ``nodes_<table>`` of the table whose rows they are derived from.
        relation: that fits the graph.
        graph: tables and links.
        origin: of the graph, in epoch seconds.

    Returns:
        Columns ``source``, ``target`` (node ids, int64), ``time`` (epoch seconds or null) and, where edges have one,
        ``weight`` (float32). A function of the rows alone: neither their order nor their partitions count.
    """
    match relation:
        case EventRelation():
            return event_edges(nodes, relation, origin)
        case TogetherRelation():
            return together_edges(nodes, value_column(graph, relation.table, relation.group), relation, origin)
        case AttributeRelation():
            return attribute_edges(nodes, value_column(graph, relation.table, relation.column), relation)


def _count_cut(nodes: DataFrame, relation: Relation, graph: GraphSchema) -> int:
    match relation:
        case TogetherRelation():
            return count_cut_groups(nodes, value_column(graph, relation.table, relation.group), relation)
        case AttributeRelation():
            return count_large_values(nodes, value_column(graph, relation.table, relation.column), relation)
        case EventRelation():
            return 0


def from_later_end(edges: DataFrame, sources: DataFrame | None, targets: DataFrame | None) -> DataFrame:
    """Edges that hold from the latest of their own time and those of their ends; greatest() passes over nulls."""
    for end, nodes in (("source", sources), ("target", targets)):
        if nodes is not None:
            times = nodes.select(F.col(NODE_ID).alias(end), F.col("time").alias("end_time"))
            held = edges.join(times, end).withColumn("time", F.greatest("time", "end_time"))
            edges = held.select(*edges.columns)
    return edges


def _write_directions(
    lake: Lake, link: Link, edges: DataFrame, origin: int
) -> tuple[SortedEdges, SortedEdges, float | None]:
    """Write both directions of edges that are derived once, and find the largest weight."""
    weighted = "weight" in edges.columns
    held = edges.persist(StorageLevel.DISK_ONLY)
    try:
        weight = F.max("weight") if weighted else F.lit(None).cast("float")
        row = held.agg(F.count(F.lit(1)).alias("rows"), weight.alias("weight")).first()
        assert row is not None
        scan = scan_frame(held, row["rows"], origin, weighted)
        forward, backward = (
            write_sorted_edges(lake, EdgeType(link, reverse).table_name, scan, origin, reverse)
            for reverse in (False, True)
        )
    finally:
        held.unpersist()
    return forward, backward, (row["weight"] or 0.0) if weighted else None
