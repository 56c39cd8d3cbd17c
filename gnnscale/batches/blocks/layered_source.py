"""Examples of links between nodes of one table, with layers of their neighborhoods."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gnnscale.batches.blocks.layered_block import LayeredBlock, LayeredBuilder
from gnnscale.batches.examples.link_examples import Examples
from gnnscale.batches.examples.order import epoch_batches

NOBODY = np.zeros(0, np.int64)


class LayeredSource:
    """Batches of one anchor, so that all their nodes share layers; see :class:`gnnscale.batches.LinkBatchSource`.

    Args:
        builder: of the layers.
        examples: with targets.
        chosen: row numbers of the examples that an epoch takes, int64.
        batch_size: wanted examples a batch.
        seed: of the order.
    """

    def __init__(
        self, builder: LayeredBuilder, examples: Examples, chosen: NDArray[np.int64], batch_size: int, seed: int
    ) -> None:
        self.builder, self.examples, self.chosen = builder, examples, chosen
        self.batch_size, self.seed = batch_size, seed

    def batches(self, epoch: int) -> list[NDArray[np.int64]]:
        """Every chosen example once."""
        found = epoch_batches(self.examples.anchors[self.chosen], self.batch_size, self.seed, epoch)
        return [self.chosen[rows] for rows in found]

    def build(self, rows: NDArray[np.int64], epoch: int = 0, targets: NDArray[np.int64] | None = None) -> LayeredBlock:
        """Layers around the entities of some examples of one anchor, and around targets; none where none are given."""
        anchors = self.examples.anchors[rows]
        assert len(rows) == 0 or (anchors == anchors[0]).all()
        anchor = int(anchors[0]) if len(rows) else 0
        return self.builder.build(self.examples.entities[rows], NOBODY if targets is None else targets, anchor)
