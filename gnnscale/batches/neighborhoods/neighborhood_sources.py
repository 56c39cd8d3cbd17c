"""Neighborhoods of labelled examples, and of any entities: sources over the builders of their batches."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gnnscale.batches.examples.entity_examples import EntityExamples
from gnnscale.batches.examples.link_examples import Examples
from gnnscale.batches.examples.one_anchor_source import OneAnchorSource
from gnnscale.batches.examples.order import chosen_batches
from gnnscale.batches.neighborhoods.entity_batches import EntityBatch, EntityBatchBuilder
from gnnscale.batches.neighborhoods.pair_batches import BatchBuilder, PairBatch


class NeighborhoodSource:
    """Batches of the neighborhood network; see :class:`gnnscale.batches.BatchSource`.

    Args:
        builder: of the batches.
        examples: by row number.
        chosen: row numbers that an epoch takes, int64.
        batch_size: examples of a global batch.
        most: examples an epoch; where there are more, each epoch takes others. None for all.
        seed: of the order.
    """

    def __init__(
        self,
        builder: EntityBatchBuilder,
        examples: EntityExamples,
        chosen: NDArray[np.int64],
        batch_size: int,
        most: int | None,
        seed: int,
    ) -> None:
        self.builder, self.examples, self.chosen = builder, examples, chosen
        self.batch_size, self.most, self.seed = batch_size, most, seed

    def batches(self, epoch: int) -> list[NDArray[np.int64]]:
        """Batches that mix anchors."""
        return chosen_batches(self.chosen, self.batch_size, self.most, self.seed, epoch)

    def build(self, rows: NDArray[np.int64], epoch: int = 0) -> EntityBatch:
        """The neighborhoods of some examples."""
        return self.builder.build(self.examples.take(rows), epoch)

    def around(self, entities: NDArray[np.int64], anchors: NDArray[np.int32], epoch: int = 0) -> EntityBatch:
        """The neighborhoods of any entities."""
        return self.builder.build(EntityExamples.unlabelled(entities, anchors), epoch)


class PairSource(OneAnchorSource[BatchBuilder]):
    """Batches of the two-branch network."""

    def build(self, rows: NDArray[np.int64], epoch: int = 0, targets: NDArray[np.int64] | None = None) -> PairBatch:
        """The neighborhoods of some examples of one anchor, and targets beside those in them."""
        return self.builder.build(self.examples.take(rows), epoch, targets)

    def around(self, entities: NDArray[np.int64], anchors: NDArray[np.int32], epoch: int = 0) -> PairBatch:
        """The neighborhoods of any entities at one anchor."""
        return self.builder.build(Examples.unlabelled(entities, anchors), epoch)
