"""Edges between nodes that have the same value in a column."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from gnnscale.etl.derived.groups import count_large, group_bounds, group_codes
from gnnscale.etl.ids.assign_ids import NODE_ID
from gnnscale.schema import AttributeRelation

BATCH = 1 << 20
"""Edges that are handed on together, about."""


def attribute_edges(nodes: DataFrame, column: str, relation: AttributeRelation) -> DataFrame:
    """Every node to those with its value, or to the nearest of them in a ring.

    Args:
        nodes: ``nodes_<table>``.
        column: its column that holds the value.
        relation: how edges are made.

    Returns:
        Columns ``source``, ``target`` (node ids, int64) and ``time`` (null: the ends' times count).
    """
    valued = _valued(nodes, column).repartition("value")
    joiner = _joiner(relation.max_group, relation.max_neighbors)
    edges = valued.mapInArrow(joiner, "source long, target long")
    return edges.withColumn("time", F.lit(None).cast("long"))


def count_large_values(nodes: DataFrame, column: str, relation: AttributeRelation) -> int:
    """Values that make no edges because too many nodes have them; logged."""
    prefix = f"relation {relation.name}: no edges from values"
    return count_large(_valued(nodes, column).select("value"), "value", relation.max_group, prefix)


def _valued(nodes: DataFrame, column: str) -> DataFrame:
    valued = nodes.select(F.col(column).alias("value"), F.col(NODE_ID).alias("node"))
    return valued.where(F.col("value").isNotNull())


def ring_edges(
    nodes: NDArray[np.int64], opens: NDArray[np.int64], sizes: NDArray[np.int64], most: int | None
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Sources and targets, both ``[edges]``, in batches.

    Args:
        nodes: ids, those of a group side by side and ascending, ``[nodes]``.
        opens, sizes: first position and number of nodes of each group, ``[groups]``.
        most: neighbors of a node, an even number; None for all of its group.
    """
    degrees = sizes - 1 if most is None else np.minimum(sizes - 1, most)
    # [nodes]: size and first position of each one's group; how many it is joined with; its own position in the ring.
    size, start, degree = (np.repeat(values, sizes) for values in (sizes, opens, degrees))
    ring = np.arange(len(size)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    ends = np.cumsum(degree)
    cuts = np.searchsorted(ends, np.arange(BATCH, ends[-1] if len(ends) else 0, BATCH))
    for part in np.split(np.arange(len(size)), np.unique(cuts)):
        count = degree[part]
        # [edges]: the first half of a node's neighbors come after it in the ring, the second half before it.
        owner = np.repeat(part, count)
        step = np.arange(1, len(owner) + 1) - np.repeat(np.cumsum(count) - count, count)
        step += np.where(step <= degree[owner] // 2, 0, size[owner] - 1 - degree[owner])
        place = (ring[owner] + step) % size[owner]
        yield nodes[start[owner] + ring[owner]], nodes[start[owner] + place]


def _joiner(max_group: int | None, most: int | None) -> Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    def join(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        whole = [batch for batch in batches if batch.num_rows]
        if not whole:
            return
        table = pa.Table.from_batches(whole)
        codes, nodes = group_codes(table["value"]), table["node"].to_numpy()
        order = np.lexsort((nodes, codes))
        opens, sizes = group_bounds(codes[order])
        kept = sizes <= (len(nodes) if max_group is None else max_group)
        for source, target in ring_edges(nodes[order], opens[kept], sizes[kept], most):
            yield pa.RecordBatch.from_arrays([pa.array(source), pa.array(target)], ["source", "target"])

    return join
