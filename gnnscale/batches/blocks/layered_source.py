"""Examples of links between nodes of one table, with layers of their neighborhoods."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gnnscale.batches.blocks.layered_block import LayeredBlock, LayeredBuilder
from gnnscale.batches.examples.one_anchor_source import OneAnchorSource

NOBODY = np.zeros(0, np.int64)


class LayeredSource(OneAnchorSource[LayeredBuilder]):
    """Batches of one anchor, so that all their nodes share layers."""

    def build(self, rows: NDArray[np.int64], epoch: int = 0, targets: NDArray[np.int64] | None = None) -> LayeredBlock:
        """Layers around the entities of some examples of one anchor, and around targets; none where none are given."""
        anchors = self.examples.anchors[rows]
        assert len(rows) == 0 or (anchors == anchors[0]).all()
        anchor = int(anchors[0]) if len(rows) else 0
        return self.builder.build(self.examples.entities[rows], NOBODY if targets is None else targets, anchor)
