"""Which neighbors a layer reads, where the states of all nodes are computed layer by layer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numba import njit
from numpy.typing import NDArray

from gnnscale.sampling.keys import default_examples, example_keys, hop_key
from gnnscale.sampling.neighbor_sampler import drop_ended
from gnnscale.sampling.sampler_backend import find_backend
from gnnscale.sampling.sampling_rule import Rule, Strategy
from gnnscale.sampling.walks.most_visited import MostVisited
from gnnscale.schema import EdgeType
from gnnscale.store import GraphStore

Weighted = tuple[NDArray[np.int32], NDArray[np.float32] | None]
"""Neighbors ``[nodes, fanout]``, -1 where absent, and their weights; None where all weigh the same."""


class LayerNeighbors(Protocol):
    """What gives the neighbors of any nodes along an edge type, by an anchor."""

    def count(
        self, store: GraphStore, edge_type: EdgeType, nodes: NDArray[np.int64], anchor: np.int32
    ) -> NDArray[np.int64]:
        """How many there are, or could be, of each node, int64 ``[nodes]``."""

    def find(self, store: GraphStore, edge_type: EdgeType, nodes: NDArray[np.int64], anchor: np.int32) -> Weighted:
        """The neighbors, no more columns than one of the nodes needs."""


@dataclass(frozen=True)
class Neighborhoods:
    """Neighbors along the graph's own edges.

    Args:
        fanouts: name of an edge type -> most neighbors along it; all along those that are not named.
        strategy: which, where there are more.
        seed: of the choice.
        cap: only the latest so many edges of a node are candidates; None for all.
        epoch: of the choice.
        ended: whether nodes that no longer hold at the anchor are found, too.
    """

    fanouts: Mapping[str, int] = field(default_factory=dict)
    strategy: Strategy = "last"
    seed: int = 0
    cap: int | None = None
    epoch: int = 0
    ended: bool = False

    def count(
        self, store: GraphStore, edge_type: EdgeType, nodes: NDArray[np.int64], anchor: np.int32
    ) -> NDArray[np.int64]:
        """As in :class:`LayerNeighbors`."""
        adjacency = store.adjacency(edge_type)
        counts: NDArray[np.int64] = _counts_until(adjacency.indptr, adjacency.times, anchor, nodes)
        for most in (self.fanouts.get(edge_type.name), self.cap):
            counts = counts if most is None else np.minimum(counts, most)
        return counts

    def find(self, store: GraphStore, edge_type: EdgeType, nodes: NDArray[np.int64], anchor: np.int32) -> Weighted:
        """As in :class:`LayerNeighbors`; all weigh the same."""
        fanout = max(1, int(self.count(store, edge_type, nodes, anchor).max()))
        anchors = np.full(len(nodes), anchor)
        found = np.empty((len(nodes), 1, fanout), np.int32)
        stamps = np.empty_like(found)
        keys = example_keys(hop_key(self.seed, self.epoch, (edge_type,)), default_examples(nodes, anchors))
        frontier = nodes.astype(np.int32)[:, None]
        rule = Rule(self.strategy, self.cap)
        find_backend("numba").fill_neighbors(store.adjacency(edge_type), frontier, anchors, keys, rule, found, stamps)
        if not self.ended:
            drop_ended(found, stamps, store.features(edge_type.target), anchors)
        return found[:, 0], None


@dataclass(frozen=True)
class WalkedNeighbors:
    """What walks from a node visit most, weighed by their visits: neighbors along an edge type that no edge has.

    Args:
        visited: what walks from the nodes reach.
    """

    visited: MostVisited

    def count(
        self, store: GraphStore, edge_type: EdgeType, nodes: NDArray[np.int64], anchor: np.int32
    ) -> NDArray[np.int64]:
        """As in :class:`LayerNeighbors`."""
        return np.full(len(nodes), self.visited.walker.rule.top, np.int64)

    def find(self, store: GraphStore, edge_type: EdgeType, nodes: NDArray[np.int64], anchor: np.int32) -> Weighted:
        """As in :class:`LayerNeighbors`."""
        return self.visited.find(nodes, int(anchor))


@njit(nogil=True, cache=True)
def _counts_until(indptr, times, anchor, sources):  # type: ignore[no-untyped-def]
    """Edges of some sources up to an anchor, int64 ``[sources]``."""
    counts = np.empty(len(sources), np.int64)
    for i, source in enumerate(sources):
        counts[i] = np.searchsorted(times[indptr[source] : indptr[source + 1]], anchor, side="right")
    return counts
