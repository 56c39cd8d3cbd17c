"""Examples of links between two tables, with the graph of both around them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gnnscale.batches.bipartite.bipartite_block import BipartiteBlock, BipartiteBuilder
from gnnscale.batches.examples.one_anchor_source import OneAnchorSource

NOBODY = np.zeros(0, np.int64)


class BipartiteSource(OneAnchorSource[BipartiteBuilder]):
    """Batches of one anchor, so that all their nodes share the graph."""

    def build(
        self, rows: NDArray[np.int64], epoch: int = 0, targets: NDArray[np.int64] | None = None
    ) -> BipartiteBlock:
        """The block around the entities of some examples of one anchor, and around targets, if any are given."""
        anchors = self.examples.anchors[rows]
        assert len(rows) == 0 or (anchors == anchors[0]).all()
        anchor = int(anchors[0]) if len(rows) else 0
        nodes = NOBODY if targets is None else targets
        return self.builder.build(self.examples.entities[rows], nodes, anchor, epoch)
