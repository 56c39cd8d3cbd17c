"""The nodes that walks visit most, of any node at any anchor, kept where there is room for them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gnnscale.sampling.walks.walk_sampler import WalkSampler

KEPT_BYTES = 1 << 31
"""Of what is kept at most; of a large catalogue nothing is, and it walks anew."""

Importance = tuple[NDArray[np.int32], NDArray[np.float32]]
"""Nodes and their weights, each ``[nodes, top]``: -1 and 0 where absent; those of a row sum to 1, or to 0."""


class MostVisited:
    """Neighbors by importance: visits of random walks over their L1 norm (Ying et al., PinSage, 2018: section 3.1).

    What a node's walks reach is a function of the run's seed, the node and the anchor, those of the first epoch, so
    that training, validation and inference see the same neighbors, and what was walked once can be kept.

    Args:
        walker: that comes back to the table it starts from.
        kept_bytes: most memory for what is kept.
    """

    def __init__(self, walker: WalkSampler, kept_bytes: int = KEPT_BYTES) -> None:
        self.walker = walker
        rows = walker.store.node_count(walker.table)
        # Nodes and weights, 4 bytes each, and a flag.
        self._anchors = kept_bytes // max(1, rows * (8 * walker.rule.top + 1))
        self._kept: dict[int, tuple[NDArray[np.int32], NDArray[np.float32], NDArray[np.bool_]]] = {}

    def find(self, nodes: NDArray[np.int64], anchor: int) -> Importance:
        """Of some nodes, each once or more, int64 ``[nodes]``, by an anchor in seconds after the graph's origin."""
        if anchor not in self._kept and len(self._kept) >= self._anchors:
            return self._walk(nodes, anchor)
        rows, top = self.walker.store.node_count(self.walker.table), self.walker.rule.top
        # Pages of zeros take no memory until they are written.
        empty = np.zeros((rows, top), np.int32), np.zeros((rows, top), np.float32), np.zeros(rows, np.bool_)
        near, weights, known = self._kept.setdefault(anchor, empty)
        missing = np.unique(nodes[~known[nodes]])
        if len(missing):
            near[missing], weights[missing] = self._walk(missing, anchor)
            # Last, for another thread may read meanwhile.
            known[missing] = True
        return near[nodes], weights[nodes]

    def _walk(self, nodes: NDArray[np.int64], anchor: int) -> Importance:
        walks = self.walker.sample(nodes, np.full(len(nodes), anchor, np.int32))
        return walks.nodes, walks.weights()
