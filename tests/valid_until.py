"""The graph of a store whose rows end, for the tests of what must not be seen any more."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from gnnscale.store import GraphStore
from gnnscale.store.features import NEVER, NodeFeatures


class EndingStore(GraphStore):
    """A graph as it is, but for the ends of the rows of some tables.

    Args:
        store: the graph.
        ends: table -> end of every node, in seconds after the origin.
    """

    def __init__(self, store: GraphStore, valid_until: dict[str, NDArray[np.int32]]) -> None:
        super().__init__(store.manifest, store.folder)
        self.valid_until = valid_until

    def features(self, table: str) -> NodeFeatures:
        return replace(super().features(table), valid_until=self.valid_until.get(table))


def some_ends(store: GraphStore, table: str, low: int, high: int, seed: int = 0) -> NDArray[np.int32]:
    """Two in three rows of a table end between two times (seconds after the origin)."""
    rng = np.random.default_rng(seed)
    rows = store.node_count(table)
    valid_until = rng.integers(low, high, rows)
    return np.where(rng.random(rows) < 2 / 3, valid_until, NEVER).astype(np.int32)
