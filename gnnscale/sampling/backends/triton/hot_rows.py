"""Which rows of features are read most: those that most edges lead to."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from gnnscale.schema import EdgeType

if TYPE_CHECKING:
    from gnnscale.store import GraphStore

PIECE = 1 << 24
"""Edges that are counted at once."""


def count_leading_edges(store: GraphStore, edge_types: Collection[EdgeType], table: str) -> NDArray[np.int64]:
    """How many edges lead to each node of a table, int64 ``[nodes]``: about how often a walk along them comes by.

    Args:
        store: the graph.
        edge_types: that are followed, each of which leads to the table.
        table: whose nodes are counted.
    """
    counts = np.zeros(store.node_count(table), np.int64)
    for edge_type in edge_types:
        neighbors = store.adjacency(edge_type).neighbors
        for start in range(0, len(neighbors), PIECE):
            counts += np.bincount(neighbors[start : start + PIECE], minlength=len(counts))
    return counts
